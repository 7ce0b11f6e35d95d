package download

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestDescribeReadsSizeAndHash(t *testing.T) {
	s := md5.Sum(content)
	stated := base64.StdEncoding.EncodeToString(s[:])
	for name, c := range map[string]struct{ header, value, want string }{
		"an object store": {"X-Goog-Hash", "crc32c=n03x6A==,md5=" + stated, hex.EncodeToString(s[:])},
		"the old header":  {"Content-MD5", stated, hex.EncodeToString(s[:])},
		"no hash":         {"X-Other", "y", ""},
		"another hash":    {"X-Goog-Hash", "crc32c=n03x6A==", ""},
		"nonsense":        {"Content-MD5", "bm9uc2Vuc2U=", ""},
	} {
		o := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(c.header, c.value)
			whole(w, r)
		})
		d, err := Describe(t.Context(), o.URL, 0)
		if err != nil || d.Size != int64(len(content)) || d.MD5 != c.want {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	o := serve(t, http.NotFound)
	if _, err := Describe(t.Context(), o.URL, 0); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), o.URL) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestFileByMD5(t *testing.T) {
	o := serve(t, whole)
	s := md5.Sum(content)
	o.SHA256, o.MD5 = "", hex.EncodeToString(s[:])
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
	o = serve(t, whole)
	o.SHA256, o.MD5 = "", strings.Repeat("0", 32)
	if err := File(t.Context(), o); !errors.Is(err, ErrHash) {
		t.Errorf("another file: %v", err)
	}
}
