package main

import (
	"encoding/json"
	"fmt"
)

// print writes a result: as one JSON document with --json, else by show.
func (a *app) print(document any, show func() error) error {
	if !a.global.json {
		return show()
	}
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// printf writes text for people on stdout.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}
