package serving

import (
	"bytes"
	"strings"
	"testing"

	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
)

// Pictures as TensorFlow's detection models take them: bytes, and nothing that is none.
func TestPixelsOfARequest(t *testing.T) {
	picture := info(typespb.DataType_DT_UINT8, -1, -1)
	p, err := toProto("inputs", []byte(`[[0, 1], [128, 255.0]]`), picture, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.GetDtype() != typespb.DataType_DT_UINT8 || !bytes.Equal(p.GetTensorContent(), []byte{0, 1, 128, 255}) || len(p.GetFloatVal()) != 0 {
		t.Errorf("%v", p)
	}
	for _, bad := range []string{`[[256]]`, `[[-1]]`, `[[0.5]]`, `[[NaN]]`, `[[Infinity]]`} {
		if _, err := toProto("inputs", []byte(bad), picture, 0); err == nil || !strings.Contains(err.Error(), "0 to 255") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
