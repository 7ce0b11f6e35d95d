package report_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/internal/report"
)

var document = report.Document{
	Title: "A run <script>alert(1)</script>", Lead: "of | two_parts",
	Parts: []report.Part{
		{Title: "First part", Items: []report.Item{
			report.Text("A & B"),
			report.Facts{{"top-1", "63.42 %"}},
			report.Table{Caption: "arms", Header: []string{"arm", "mean"}, Rows: [][]string{{"a|b", "0.5"}}},
			report.Table{Caption: "the numbers", Header: []string{"x"}, Rows: [][]string{{"1"}}, Folded: true},
		}},
		{Title: "Second", Items: []report.Item{
			report.Figure{Name: "curve", Caption: "loss", SVG: `<svg class="plot"><path d="M0,0"/></svg>`, PNG: []byte("png")},
			report.Figure{Name: "cell", Caption: "cell", SVG: `<svg><style>path{}</style></svg>`, Apart: true},
			report.Figure{Name: "photo", Caption: "photo", PNG: []byte("png")},
			report.Code{Caption: "config.yaml", Text: "a: 1\n```\n"},
		}},
	},
}

func TestHTML(t *testing.T) {
	var out bytes.Buffer
	if err := report.HTML(&out, document); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"A run &lt;script&gt;", `<a href="#first-part">`, `<section id="first-part">`, "<dt>top-1</dt><dd>63.42 %</dd>", `<th>arm</th><th class="n">mean</th>`, `<td>a|b</td><td class="n">0.5</td>`, "A &amp; B",
		"<details><summary>the numbers</summary>", `<figure id="curve"><svg class="plot"><path d="M0,0"/></svg>`,
		`<img src="data:image/svg&#43;xml;base64,PHN2Zz48c3R5bGU&#43;`, `<img src="data:image/png;base64,cG5n"`, "default-src 'none'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, bad := range []string{"<script", "ZgotmplZ", "http://", "https://"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q stands in it", bad)
		}
	}
}

func TestMarkdown(t *testing.T) {
	files := map[string]string{}
	var out bytes.Buffer
	err := report.Markdown(&out, document, func(name string, data []byte) (string, error) {
		files[name] = string(data)
		return "figures/" + name, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# A run &lt;script>", `of \| two\_parts`, "- top-1: 63.42 %", "| arm | mean |\n|---|---:|\n| a\\|b | 0.5 |\n", "![loss](figures/curve.png)", "![cell](figures/cell.svg)",
		"````\na: 1\n```\n````\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if len(files) != 3 || files["curve.png"] != "png" || !strings.HasPrefix(files["cell.svg"], "<svg>") {
		t.Errorf("files %v", files)
	}
	full := errors.New("disk full")
	if err := report.Markdown(&out, document, func(string, []byte) (string, error) { return "", full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}
