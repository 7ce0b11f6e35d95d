package tfrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Index returns the offset of each record of a file, reading the lengths alone,
// whose checksums are verified. A broken length is a *Fault: nothing behind it
// can be found.
func Index(path string) ([]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tfrecord: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("tfrecord: %w", err)
	}
	var offsets []int64
	var header [headerBytes]byte
	for at, size := int64(0), info.Size(); at < size; {
		fault := func(err error) error {
			return &Fault{File: path, Record: int64(len(offsets)), Offset: at, Lost: size - at, Err: err}
		}
		if _, err := f.ReadAt(header[:], at); errors.Is(err, io.EOF) {
			return offsets, fault(ErrTruncated)
		} else if err != nil {
			return offsets, fmt.Errorf("tfrecord: %w", err)
		}
		if binary.LittleEndian.Uint32(header[8:]) != maskedCRC(header[:8]) {
			return offsets, fault(ErrChecksum)
		}
		length := binary.LittleEndian.Uint64(header[:8])
		if length > uint64(size) {
			return offsets, fault(ErrTruncated)
		}
		next := at + headerBytes + int64(length) + footerBytes
		if next > size {
			return offsets, fault(ErrTruncated)
		}
		offsets = append(offsets, at)
		at = next
	}
	return offsets, nil
}

// ReadAt reads the record that begins at a byte of a file. A broken one is a *Fault
// without the record's number.
func ReadAt(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tfrecord: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("tfrecord: %w", err)
	}
	data, err := NewReader(f, path, info.Size()-offset).Next()
	var fault *Fault
	if errors.As(err, &fault) {
		fault.Offset = offset
	}
	return data, err
}
