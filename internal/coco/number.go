package coco

import (
	"encoding/json"
	"math"
	"strconv"
)

// integer is a whole number in JSON, which tools may write with a fraction: 7.0
// is 7.
type integer int64

// maxWhole is the largest float64 up to which every whole number has its own.
const maxWhole = 1 << 53

// UnmarshalJSON implements json.Unmarshaler.
func (i *integer) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		f, fault := strconv.ParseFloat(string(text), 64)
		switch {
		case string(text) == "null": // as if the key were not there
			return nil
		case fault != nil || f != math.Trunc(f) || math.Abs(f) > maxWhole:
			return &json.UnmarshalTypeError{Value: kindOf(text)}
		}
		n = int64(f)
	}
	*i = integer(n)
	return nil
}

// truth is 0 or 1, or false or true; other whole numbers are kept as they are.
type truth int64

// UnmarshalJSON implements json.Unmarshaler.
func (t *truth) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true":
		*t = 1
	case "false":
		*t = 0
	default:
		return (*integer)(t).UnmarshalJSON(text)
	}
	return nil
}

// kindOf says what a JSON value is, in the words of package encoding/json.
func kindOf(text []byte) string {
	switch text[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	}
	return "number " + string(text)
}
