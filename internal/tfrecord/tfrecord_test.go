package tfrecord

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func records(t testing.TB, data ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, d := range data {
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if w.Records() != int64(len(data)) || w.Bytes() != int64(b.Len()) {
		t.Fatalf("the writer counts %d records, %d bytes", w.Records(), w.Bytes())
	}
	return b.Bytes()
}

func reader(b []byte) *Reader { return NewReader(bytes.NewReader(b), "shard", int64(len(b))) }

// TestKnownBytes holds a record as TensorFlow 2.18's TFRecordWriter writes it
// for b"NASNet" (python: tf.io.TFRecordWriter(path).write(b"NASNet")).
func TestKnownBytes(t *testing.T) {
	const want = "06000000000000007369d5374e41534e65745d60c1dd"
	if got := hex.EncodeToString(records(t, []byte("NASNet"))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "records")
		var b bytes.Buffer
		w := NewWriter(&b)
		for _, d := range want {
			if err := w.Write(d); err != nil {
				t.Fatal(err)
			}
		}
		r := reader(b.Bytes())
		for i, d := range want {
			got, err := r.Next()
			if err != nil || !bytes.Equal(got, d) {
				t.Fatalf("record %d: %q, %v; want %q", i, got, err, d)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func TestFaultsNameThePlace(t *testing.T) {
	good := records(t, []byte("alpha"), []byte("beta"), []byte("gamma")) // begins at 0, 21, 41; ends at 62
	huge := binary.LittleEndian.AppendUint64(bytes.Clone(good[:21]), 1<<40)
	huge = binary.LittleEndian.AppendUint32(huge, maskedCRC(huge[21:]))
	for name, c := range map[string]struct {
		data []byte
		want error
		text string
		lost int64
	}{
		"data":             {flip(good, 34), ErrChecksum, "shard: record 1 at byte 21: data: ", 0},
		"data's checksum":  {flip(good, 38), ErrChecksum, "shard: record 1 at byte 21: data: ", 0},
		"length":           {flip(good, 22), ErrChecksum, "shard: record 1 at byte 21: length: ", 41},
		"cut in header":    {good[:25], ErrTruncated, "shard: record 1 at byte 21: truncated", 4},
		"cut in data":      {good[:35], ErrTruncated, "shard: record 1 at byte 21: declares 4 bytes of data, the file ends after 0", 14},
		"declares 1 TiB":   {huge, ErrTooLong, "shard: record 1 at byte 21: 1099511627776 bytes", 12},
		"file of a length": {good[:29], ErrTruncated, "record 1 at byte 21", 8},
	} {
		t.Run(name, func(t *testing.T) {
			r := reader(c.data)
			if d, err := r.Next(); err != nil || string(d) != "alpha" {
				t.Fatalf("the record before: %q, %v", d, err)
			}
			_, err := r.Next()
			var f *Fault
			if !errors.Is(err, c.want) || !errors.As(err, &f) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("got %v", err)
			}
			if f.Lost != c.lost || f.Record != 1 || f.Offset != 21 {
				t.Errorf("%+v", f)
			}
			d, err := r.Next()
			if c.lost == 0 && (err != nil || string(d) != "gamma") {
				t.Errorf("the record behind: %q, %v", d, err)
			}
			if c.lost > 0 && err != io.EOF {
				t.Errorf("behind a lost rest: %q, %v", d, err)
			}
		})
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	good := records(t, []byte("alpha"), []byte("beta"))
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		r, found := reader(bad), false
		for {
			_, err := r.Next()
			if err == io.EOF {
				break
			}
			found = found || err != nil
		}
		if !found {
			t.Errorf("bit %d flipped, nothing noticed", i)
		}
	}
}

func TestSetMaxRecord(t *testing.T) {
	r := reader(records(t, []byte("alpha")))
	r.SetMaxRecord(4)
	if _, err := r.Next(); !errors.Is(err, ErrTooLong) {
		t.Fatalf("got %v", err)
	}
}

func TestScanPolicies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train-00000-of-00001")
	data := flip(flip(records(t, []byte("a"), []byte("b"), []byte("c"), []byte("d")), 12+17), 12+2*17)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	scan := func(limit int) (string, *Tally, error) {
		tally, seen := &Tally{Limit: limit}, ""
		err := Scan(path, tally, func(record, offset int64, data []byte) error {
			if seen += string(data); string(data) == "d" {
				return &Fault{File: path, Record: record, Offset: offset, Err: errors.New("label 1001")}
			}
			return nil
		})
		return seen, tally, err
	}
	if seen, tally, err := scan(0); !errors.Is(err, ErrChecksum) || seen != "a" || len(tally.Faults()) != 1 {
		t.Errorf("fail: %q, %v", seen, err)
	}
	if seen, tally, err := scan(2); !errors.Is(err, ErrTooManyFaults) || seen != "ad" || len(tally.Faults()) != 3 {
		t.Errorf("skip 2: %q, %v", seen, err)
	}
	seen, tally, err := scan(3)
	if err != nil || seen != "ad" {
		t.Fatalf("skip 3: %q, %v", seen, err)
	}
	if f := tally.Faults()[2]; f.Record != 3 || f.Offset != 51 {
		t.Errorf("the visitor's fault: %v", f)
	}
	if _, err := Open(path + "-absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestWriterReportsTheRecord(t *testing.T) {
	w := NewWriter(&failing{after: 1})
	if err := w.Write(nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(nil); err == nil || !strings.Contains(err.Error(), "record 1") {
		t.Fatalf("got %v", err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

// FuzzReader: whatever the bytes, reading ends, faults lie inside the file, and
// no more is returned than came in.
func FuzzReader(f *testing.F) {
	f.Add(records(f, []byte("alpha"), nil, []byte("gamma")))
	f.Add(records(f, []byte("alpha"))[:15])
	f.Add(flip(records(f, []byte("alpha"), []byte("beta")), 13))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, total := reader(b), 0
		for {
			at := r.Offset()
			data, err := r.Next()
			if err == io.EOF {
				break
			}
			var fault *Fault
			if err != nil && (!errors.As(err, &fault) || fault.Offset != at || fault.Offset+fault.Lost > int64(len(b))) {
				t.Fatalf("at %d of %d: %v", at, len(b), err)
			}
			total += len(data)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of data from %d", total, len(b))
		}
	})
}
