package download

import (
	"context"
	"crypto/md5" // of a publisher that states nothing better; who could forge it could forge the statement
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// The ways a download ends badly, beside the errors of the network itself.
var (
	ErrHash    = errors.New("not the expected content")
	ErrRefused = errors.New("refused by the server")
	ErrStalled = errors.New("no bytes arrived")
)

// Options says what to fetch. Zero means the default where one is named.
type Options struct {
	URL    string // http or https
	Path   string // of the finished file; Path + ".part" holds what has arrived so far
	SHA256 string // hex, of the whole file; nothing unverified is published
	MD5    string // hex, instead, where that is all its publisher states
	Size   int64  // bytes, exact; required, and the cap on what is accepted

	ConnectTimeout time.Duration // from the request to the reply's header; default 8 s
	StallTimeout   time.Duration // without a byte in the middle of the file; default 30 s
	Retries        int           // in a row without a new byte, before giving up; default 4
	Backoff        time.Duration // before the first retry, doubling up to 16 times; default 500 ms

	Progress func(done, total int64) // bytes; called after each block, from one goroutine
}

func (o Options) orDefault() Options {
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 8 * time.Second
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = 30 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 4
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	return o
}

// File fetches o.URL to o.Path and returns when the file is verified and on
// the disk. A part file of an earlier attempt is resumed. A server that cannot
// be reached at all fails at once, without retries, so that a caller with
// another source can turn to it; a transfer that breaks is taken up again
// where it broke. ErrHash: the content is wrong, and was deleted.
func File(ctx context.Context, o Options) error {
	o = o.orDefault()
	if (o.SHA256 == "" && o.MD5 == "") || o.Size <= 0 {
		return fmt.Errorf("download: %s: neither size nor hash may be missing", o.URL)
	}
	f := &fetch{Options: o, part: o.Path + ".part", client: client(o.ConnectTimeout)}
	defer f.client.CloseIdleConnections()
	resumed := f.have() > 0
	if err := f.transfer(ctx); err != nil {
		return fmt.Errorf("download: %s: %w", o.URL, err)
	}
	err := f.publish()
	if errors.Is(err, ErrHash) && resumed { // the part may have been of another version of the file
		if err = f.transfer(ctx); err == nil {
			err = f.publish()
		}
	}
	if err != nil {
		return fmt.Errorf("download: %s: %w", o.URL, err)
	}
	return nil
}

func client(connect time.Duration) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connect}).DialContext
	t.TLSHandshakeTimeout = connect
	t.ResponseHeaderTimeout = connect
	t.DisableCompression = true // the hash is that of the bytes as stored
	return &http.Client{Transport: t}
}

type fetch struct {
	Options
	part   string
	client *http.Client
	seen   bool // the server has answered at least once
}

// have returns how many bytes of the file have arrived.
func (f *fetch) have() int64 {
	info, err := os.Stat(f.part)
	if err != nil {
		return 0
	}
	return info.Size()
}

// transfer appends to the part file until it is complete.
func (f *fetch) transfer(ctx context.Context) error {
	if f.have() > f.Size {
		if err := os.Remove(f.part); err != nil {
			return err
		}
	}
	wait, fruitless := f.Backoff, 0
	for f.have() < f.Size {
		before := f.have()
		err := f.request(ctx, before)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && f.have() >= f.Size:
			return nil
		case final(err) || (err != nil && !f.seen):
			return err
		case f.have() > before:
			wait, fruitless = f.Backoff, 0
		default:
			fruitless++
		}
		if fruitless > f.Retries {
			return fmt.Errorf("%d of %d bytes arrived, then %d attempts brought nothing: %w", f.have(), f.Size, fruitless, err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, 16*f.Backoff)
	}
	return nil
}

// final tells errors that a repetition cannot mend: the server said no, it has
// another file, or our own disk failed.
func final(err error) bool {
	var local *fs.PathError
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrHash) || errors.As(err, &local)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// request asks for the bytes from offset on and appends what comes.
func (f *fetch) request(ctx context.Context, offset int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	reply, err := f.client.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err // without the URL, which File names
	}
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	flags, err := f.judge(reply, offset)
	if err != nil {
		return err
	}
	f.seen = true
	out, err := os.OpenFile(f.part, os.O_WRONLY|os.O_CREATE|flags, 0o644)
	if err != nil {
		return err
	}
	stall := time.AfterFunc(f.StallTimeout, func() { cancel(fmt.Errorf("%w for %v", ErrStalled, f.StallTimeout)) })
	defer stall.Stop()
	err = f.copy(out, reply.Body, func() { stall.Reset(f.StallTimeout) })
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, out.Close())
}

// judge says how the part file is opened for this reply: appended to where the
// server goes on from offset, begun anew where it sends the whole file.
func (f *fetch) judge(reply *http.Response, offset int64) (flags int, err error) {
	switch code := reply.StatusCode; {
	case code == http.StatusPartialContent && offset > 0:
		want := fmt.Sprintf("bytes %d-", offset)
		if got := reply.Header.Get("Content-Range"); len(got) < len(want) || got[:len(want)] != want {
			return 0, fmt.Errorf("%w: asked for %s…, got %q", ErrRefused, want, got)
		}
		return os.O_APPEND, nil
	case code == http.StatusOK:
		if n := reply.ContentLength; n >= 0 && n != f.Size {
			return 0, fmt.Errorf("%w: the server's file has %d bytes, expected are %d", ErrHash, n, f.Size)
		}
		return os.O_TRUNC, nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		f.seen = true // it is there, only busy: worth a retry
		return 0, fmt.Errorf("server answered %s", reply.Status)
	default:
		return 0, fmt.Errorf("%w: %s", ErrRefused, reply.Status)
	}
}

// copy appends the body to the part file, never more than the expected size.
func (f *fetch) copy(out *os.File, body io.Reader, alive func()) error {
	block := make([]byte, 1<<17)
	info, err := out.Stat()
	if err != nil {
		return err
	}
	for done := info.Size(); done < f.Size; {
		n, err := body.Read(block)
		if n > 0 {
			alive()
			if _, err := out.Write(block[:min(int64(n), f.Size-done)]); err != nil {
				return err
			}
			done += int64(n)
			f.Progress(min(done, f.Size), f.Size)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publish verifies the complete part file and gives it its name.
func (f *fetch) publish() error {
	sums, err := hashAndSync(f.part)
	if err != nil {
		return err
	}
	if f.SHA256 != "" && sums.sha256 != f.SHA256 {
		err = fmt.Errorf("%w: SHA-256 is %s, expected is %s; the file was deleted", ErrHash, sums.sha256, f.SHA256)
	} else if f.MD5 != "" && sums.md5 != f.MD5 {
		err = fmt.Errorf("%w: MD5 is %s, expected is %s; the file was deleted", ErrHash, sums.md5, f.MD5)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.part))
	}
	return durable.Rename(f.part, f.Path)
}

// sums are a file's hashes, in hex.
type sums struct{ sha256, md5 string }

func hashAndSync(path string) (sums, error) {
	in, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return sums{}, err
	}
	strong, weak := sha256.New(), md5.New()
	_, err = io.Copy(io.MultiWriter(strong, weak), in)
	return sums{hex.EncodeToString(strong.Sum(nil)), hex.EncodeToString(weak.Sum(nil))}, errors.Join(err, in.Sync(), in.Close())
}
