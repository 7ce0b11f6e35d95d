package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// Sizes and the magic number of an SSTable (tensorflow core/lib/io/format.h).
const (
	footerSize  = 48
	trailerSize = 5 // block type and masked crc32c
	tableMagic  = 0xdb4775248b80fb57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mask is how stored checksums differ from computed ones.
func mask(crc uint32) uint32 { return bits.RotateLeft32(crc, -15) + 0xa282ead8 }

// handle points to a block.
type handle struct{ offset, size uint64 }

// readTable calls visit for each key and value of a table, in their order.
func readTable(file []byte, visit func(key, value []byte) error) error {
	if len(file) < footerSize {
		return fmt.Errorf("%d bytes are too short for a table: %w", len(file), ErrDamaged)
	}
	footer := file[len(file)-footerSize:]
	if binary.LittleEndian.Uint64(footer[footerSize-8:]) != tableMagic {
		return fmt.Errorf("the table's magic number is missing: %w", ErrDamaged)
	}
	meta, rest, ok := parseHandle(footer[:footerSize-8])
	index, padding, ok2 := parseHandle(rest)
	if !ok || !ok2 || len(bytes.Trim(padding, "\x00")) != 0 {
		return fmt.Errorf("the table's footer makes no sense: %w", ErrDamaged)
	}
	if _, err := block(file, meta); err != nil { // holds nothing, but is part of the file
		return err
	}
	return readBlock(file, index, func(_, value []byte) error {
		h, _, ok := parseHandle(value)
		if !ok {
			return fmt.Errorf("an index entry points nowhere: %w", ErrDamaged)
		}
		return readBlock(file, h, visit)
	})
}

func parseHandle(b []byte) (h handle, rest []byte, ok bool) {
	offset, n := binary.Uvarint(b)
	if n <= 0 {
		return h, nil, false
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return h, nil, false
	}
	return handle{offset, size}, b[n+m:], true
}

// block returns a block's content, its checksum checked.
func block(file []byte, h handle) ([]byte, error) {
	n := uint64(len(file))
	if h.offset > n || h.size > n-h.offset || n-h.offset-h.size < trailerSize {
		return nil, fmt.Errorf("block at %d of %d bytes lies outside of the file's %d: %w", h.offset, h.size, n, ErrDamaged)
	}
	end := h.offset + h.size
	want := binary.LittleEndian.Uint32(file[end+1:])
	if mask(crc32.Checksum(file[h.offset:end+1], castagnoli)) != want {
		return nil, fmt.Errorf("checksum of the block at %d does not match: %w", h.offset, ErrDamaged)
	}
	if kind := file[end]; kind != 0 {
		return nil, fmt.Errorf("block at %d is compressed (type %d), which TensorFlow does not write", h.offset, kind)
	}
	return file[h.offset:end], nil
}

// readBlock calls visit for each entry of a block.
func readBlock(file []byte, h handle, visit func(key, value []byte) error) error {
	b, err := block(file, h)
	if err != nil {
		return err
	}
	if len(b) < 4 {
		return fmt.Errorf("block at %d is too short: %w", h.offset, ErrDamaged)
	}
	restarts := uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	if restarts > uint64(len(b)-4)/4 {
		return fmt.Errorf("block at %d claims %d restarts: %w", h.offset, restarts, ErrDamaged)
	}
	entries := b[:len(b)-4-int(restarts)*4]
	var key []byte
	for len(entries) > 0 {
		shared, unshared, size, rest, ok := entryHead(entries)
		if !ok || shared > uint64(len(key)) || unshared > uint64(len(rest)) || size > uint64(len(rest))-unshared {
			return fmt.Errorf("an entry of the block at %d makes no sense: %w", h.offset, ErrDamaged)
		}
		key = append(key[:shared], rest[:unshared]...)
		if err := visit(key, rest[unshared:unshared+size]); err != nil {
			return err
		}
		entries = rest[unshared+size:]
	}
	return nil
}

// entryHead reads the three lengths before an entry's key and value.
func entryHead(b []byte) (shared, unshared, size uint64, rest []byte, ok bool) {
	var v [3]uint64
	for i := range v {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, 0, nil, false
		}
		v[i], b = x, b[n:]
	}
	return v[0], v[1], v[2], b, true
}
