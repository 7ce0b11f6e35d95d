package configs

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// convert turns a value as YAML reads it into the leaf's type, without losing
// anything: 3.5 is no whole number, "yes" is no switch.
func convert(kind reflect.Type, v any) (any, error) {
	switch kind.Kind() {
	case reflect.Int, reflect.Int64:
		return wholeNumber(v)
	case reflect.Float64:
		return number(v)
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("%s is not true or false", show(v))
	case reflect.String:
		return text(v)
	case reflect.Slice:
		return list(kind.Elem(), v)
	}
	return nil, fmt.Errorf("a value of type %s cannot be set", kind)
}

func wholeNumber(v any) (any, error) {
	switch n := v.(type) {
	case int:
		return int64(n), nil
	case int64:
		return n, nil
	case float64: // 1e6
		if n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
			return int64(n), nil
		}
	}
	return nil, fmt.Errorf("%s is not a whole number", show(v))
}

func number(v any) (any, error) {
	switch n := v.(type) {
	case int:
		return float64(n), nil
	case int64:
		return float64(n), nil
	case float64:
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s is not a number", show(v))
}

func text(v any) (any, error) {
	switch s := v.(type) {
	case string:
		return s, nil
	case nil:
		return "", nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(s), nil
	}
	return nil, fmt.Errorf("%s is not a text", show(v))
}

func list(element reflect.Type, v any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s is not a list; write it as [a, b, c]", show(v))
	}
	out := make([]any, len(items))
	for i, item := range items {
		c, err := convert(element, item)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = c
	}
	return out, nil
}

// show prints a value for a message, shortened.
func show(v any) string {
	s := fmt.Sprintf("%v", v)
	if t, ok := v.(string); ok {
		s = fmt.Sprintf("%q", t)
	}
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}

// scalar reads the text of a variable or a flag. Texts stay as they are, the
// rest is YAML: numbers, true, [a, b].
func scalar(kind reflect.Type, raw string) (any, error) {
	if kind.Kind() == reflect.String {
		return raw, nil
	}
	var v any
	if err := yaml.Unmarshal([]byte(raw), &v); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %s", show(raw), strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return convert(kind, v)
}
