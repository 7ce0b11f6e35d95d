package tfrecord

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
)

// What can be wrong with a record.
var (
	ErrChecksum  = errors.New("checksum does not match")
	ErrTruncated = errors.New("truncated")
	ErrTooLong   = errors.New("declares more bytes than allowed")
)

// DefaultMaxRecord is the longest record that is read unless told otherwise:
// far more than any photograph.
const DefaultMaxRecord = 256 << 20 // bytes

const (
	headerBytes = 12 // length and its checksum
	footerBytes = 4  // checksum of the data
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is the checksum as TensorFlow stores it: masked, so that a checksum
// of data that holds checksums stays well spread.
func maskedCRC(data []byte) uint32 {
	return bits.RotateLeft32(crc32.Checksum(data, castagnoli), -15) + 0xa282ead8
}

// Fault is one broken record: where it is, and what is wrong with it.
type Fault struct {
	File   string
	Record int64 // from 0
	Offset int64 // of the record's first byte in the file
	Lost   int64 // bytes after which reading cannot go on, to the end of the file; 0: the next record can be read
	Err    error
}

// Error names the file, the record and the offset.
func (f *Fault) Error() string {
	rest := ""
	if f.Lost > 0 {
		rest = fmt.Sprintf(" (the remaining %d bytes of the file cannot be read)", f.Lost)
	}
	return fmt.Sprintf("%s: record %d at byte %d: %v%s", f.File, f.Record, f.Offset, f.Err, rest)
}

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

// Writer appends records to an output.
type Writer struct {
	w       io.Writer
	buf     []byte
	records int64
	bytes   int64
}

// NewWriter returns a Writer on w; each record is one call of w.Write.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends one record.
func (w *Writer) Write(data []byte) error {
	b := binary.LittleEndian.AppendUint64(w.buf[:0], uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(data))
	w.buf = b
	n, err := w.w.Write(b)
	w.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("tfrecord: write record %d: %w", w.records, err)
	}
	w.records++
	return nil
}

// Records returns how many records were written.
func (w *Writer) Records() int64 { return w.records }

// Bytes returns how many bytes were written.
func (w *Writer) Bytes() int64 { return w.bytes }

// Reader reads the records of one file from its begin to its end.
type Reader struct {
	name   string
	size   int64 // of the file, bytes
	max    int64 // longest record accepted, bytes
	r      *bufio.Reader
	close  func() error
	buf    []byte
	record int64 // number of the next record
	offset int64 // where it begins
	ended  bool
}

// NewReader reads size bytes of r; name stands for the file in faults.
func NewReader(r io.Reader, name string, size int64) *Reader {
	return &Reader{name: name, size: size, max: DefaultMaxRecord, r: bufio.NewReaderSize(r, 1<<18), close: func() error { return nil }}
}

// Open opens a record file.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tfrecord: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tfrecord: %w", err), f.Close())
	}
	r := NewReader(f, path, info.Size())
	r.close = f.Close
	return r, nil
}

// SetMaxRecord sets the longest record that is accepted, in bytes.
func (r *Reader) SetMaxRecord(bytes int64) { r.max = bytes }

// Record returns the number, from 0, of the record that Next reads next.
func (r *Reader) Record() int64 { return r.record }

// Offset returns the byte at which that record begins.
func (r *Reader) Offset() int64 { return r.offset }

// Close closes the file that Open opened.
func (r *Reader) Close() error { return r.close() }

// Next returns the data of the next record, valid until the call after. At the
// end of the file it returns io.EOF, and for a broken record a *Fault; if its
// Lost is 0, Next may be called again and goes on behind it. No memory is taken
// for a length that the file or the cap does not bear out.
func (r *Reader) Next() ([]byte, error) {
	if r.ended || r.offset == r.size {
		return nil, io.EOF
	}
	length, err := r.header()
	if err != nil {
		r.ended = true
		return nil, r.fault(err, r.size-r.offset)
	}
	if cap(r.buf) < int(length)+footerBytes {
		r.buf = make([]byte, length+footerBytes)
	}
	b := r.buf[:length+footerBytes]
	if _, err := io.ReadFull(r.r, b); err != nil {
		r.ended = true
		return nil, r.fault(truncated(err), r.size-r.offset)
	}
	data, sum := b[:length], binary.LittleEndian.Uint32(b[length:])
	if maskedCRC(data) != sum {
		err = r.fault(fmt.Errorf("data: %w", ErrChecksum), 0)
	}
	r.record++
	r.offset += headerBytes + length + footerBytes
	if err != nil {
		return nil, err
	}
	return data, nil
}

// header reads a record's length and checks it before anything is allocated.
func (r *Reader) header() (length int64, err error) {
	var h [headerBytes]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return 0, truncated(err)
	}
	if maskedCRC(h[:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return 0, fmt.Errorf("length: %w", ErrChecksum)
	}
	declared := binary.LittleEndian.Uint64(h[:8])
	if declared > uint64(r.max) {
		return 0, fmt.Errorf("%d bytes, allowed are %d: %w", declared, r.max, ErrTooLong)
	}
	if left := r.size - r.offset - headerBytes - footerBytes; int64(declared) > left {
		return 0, fmt.Errorf("declares %d bytes of data, the file ends after %d: %w", declared, max(left, 0), ErrTruncated)
	}
	return int64(declared), nil
}

func (r *Reader) fault(err error, lost int64) *Fault {
	return &Fault{File: r.name, Record: r.record, Offset: r.offset, Lost: lost, Err: err}
}

func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	return err
}
