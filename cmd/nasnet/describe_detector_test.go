package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDescribeADetector(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"describe", "coco-faster-rcnn-large", "--json"}, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var d detectorDescription
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Trainable != 105_155_937 || d.Params != 105_352_605 || d.Anchors != 67_500 || d.Inside != 44_160 || d.Features != [3]int{75, 75, 4032} {
		t.Errorf("%+v", d)
	}
	for proposals, giga := range map[int]int64{50: 587, 300: 2035, 500: 3193} {
		if got := (d.MACs[proposals] + 5e8) / 1e9; got != giga {
			t.Errorf("%d proposals: %d G, want %d", proposals, got, giga)
		}
	}
}
