package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
)

func TestDescribeMobile(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"describe", "nasnet-a-mobile", "--json"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	var d description
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Params != 5326716 || d.Trainable != 5289978 || d.Aux != 2411240 {
		t.Errorf("got %+v", d)
	}
	if code := run(context.Background(), []string{"describe", "nosuch"}, &out, &errs); code != 2 {
		t.Errorf("an unknown model: exit code %d, want 2", code)
	}
}
