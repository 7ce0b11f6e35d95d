package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

const (
	maxLine   = 64 << 20 // bytes of one line of the protocol; longer lines are dropped
	keptLines = 100      // of stderr
	keptBytes = 4 << 10  // of each of them
)

// eachLine calls visit for each line of r, without its end, until r ends. The
// slice is valid during the call only. Of a line over maxLine nothing is passed.
func eachLine(r io.Reader, visit func([]byte)) {
	b := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	tooLong := false
	for {
		part, err := b.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > maxLine; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if text := bytes.TrimRight(line, "\r\n"); !tooLong && (len(text) > 0 || err == nil) {
			visit(text)
		}
		line, tooLong = line[:0], false
		if err != nil {
			return
		}
	}
}

// relay passes on what the engine writes on stderr, and keeps the end of it.
type relay struct {
	log zerolog.Logger
	raw io.Writer

	mu    sync.Mutex
	ring  []string
	fatal string // the first line that speaks of a death; a crash report can be longer than the ring
}

func newRelay(log zerolog.Logger, raw io.Writer) *relay { return &relay{log: log, raw: raw} }

func (r *relay) copy(from io.Reader) { eachLine(from, r.line) }

func (r *relay) line(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fields, level, message := parseLog(text)
	kept := string(text[:min(len(text), keptBytes)])
	if fields != nil {
		kept = message
	}
	if r.fatal == "" && fields == nil && isFatal(kept) {
		r.fatal = strings.TrimSpace(kept)
	}
	if r.ring = append(r.ring, kept); len(r.ring) > keptLines {
		r.ring = r.ring[1:]
	}
	if r.raw != nil {
		_, _ = r.raw.Write(append(text, '\n')) // a broken log must not stop the work
		return
	}
	r.log.WithLevel(level).Fields(fields).Msg(message)
}

// last returns the kept lines, and the first fatal one or "".
func (r *relay) last() (lines []string, fatal string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ring...), r.fatal
}

// parseLog splits a zerolog line into fields, level and message, so that the
// front can log it in its own format. Other text, which is TensorFlow's, gets
// the level its letter says ("2026-01-02 03:04:05.678: W tensorflow/…") and else debug.
func parseLog(line []byte) (fields map[string]any, level zerolog.Level, message string) {
	if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &fields) == nil {
		name, _ := fields[zerolog.LevelFieldName].(string)
		message, _ = fields[zerolog.MessageFieldName].(string)
		delete(fields, zerolog.LevelFieldName)
		delete(fields, zerolog.MessageFieldName)
		delete(fields, zerolog.TimestampFieldName)
		if level, err := zerolog.ParseLevel(name); err == nil && name != "" {
			return fields, level, message
		}
		return fields, zerolog.InfoLevel, message
	}
	message = string(line[:min(len(line), keptBytes)])
	switch {
	case strings.Contains(message, ": E "), strings.Contains(message, ": F "):
		return nil, zerolog.ErrorLevel, message
	case strings.Contains(message, ": W "):
		return nil, zerolog.WarnLevel, message
	}
	return nil, zerolog.DebugLevel, message
}
