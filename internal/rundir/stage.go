package rundir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Do returns a stage's recorded result if it is done, or runs it and records
// what it gave. inputs identifies what the stage is made from: a result of other
// inputs does not count. cached says which it was.
func Do[T any](d *Dir, name string, inputs []string, run func() (T, error)) (result T, cached bool, err error) {
	key := sum([]byte(strings.Join(inputs, "\n")))
	if cached, err = d.recorded(name, key, &result); cached || err != nil {
		return result, cached, err
	}
	if err := d.begin(name, key); err != nil {
		return result, false, err
	}
	result, err = run()
	return result, false, errors.Join(err, d.end(name, result, err))
}

// recorded reads the result of a stage that is done.
func (d *Dir) recorded(name, key string, into any) (bool, error) {
	s := d.Manifest.Stage(name)
	if s == nil || s.Status != Done || s.Inputs != key {
		return false, nil
	}
	text, err := os.ReadFile(d.Join(name + ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("run: %w", err)
	}
	return sum(text) == s.Output && json.Unmarshal(text, into) == nil, nil
}

func (d *Dir) begin(name, key string) error {
	s := d.Manifest.Stage(name)
	if s == nil {
		d.Manifest.Stages = append(d.Manifest.Stages, Stage{Name: name})
		s = d.Manifest.Stage(name)
	}
	s.Status, s.Started, s.Inputs, s.Output, s.Error = Running, d.now(), key, "", ""
	return d.Save()
}

// end records how a stage ended: the result first, then that it counts.
func (d *Dir) end(name string, result any, failure error) error {
	s := d.Manifest.Stage(name)
	s.Seconds += d.now().Sub(s.Started).Seconds()
	switch {
	case failure == nil:
		digest, err := d.WriteJSON(name+".json", result)
		if err != nil {
			return err
		}
		s.Status, s.Output = Done, digest
	case errors.Is(failure, context.Canceled):
		s.Status = Interrupted
	default:
		s.Status, s.Error = Failed, failure.Error()
	}
	return d.Save()
}

// Output is the digest of a stage's result, as input of the next; "" if it is
// not done.
func (d *Dir) Output(name string) string {
	if s := d.Manifest.Stage(name); s != nil && s.Status == Done {
		return s.Output
	}
	return ""
}
