package download

import (
	"context"
	"crypto/md5" // see download.go
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Description is what a server states of a file.
type Description struct {
	Size int64  // bytes
	MD5  string // hex; "" where the server states none
}

// Describe asks a server for a file's size, and for the MD5 that object stores
// state beside it (x-goog-hash, or Content-MD5). connect bounds the wait for the
// reply; 0: 8 s.
func Describe(ctx context.Context, address string, connect time.Duration) (Description, error) {
	if connect == 0 {
		connect = Options{}.orDefault().ConnectTimeout
	}
	c := client(connect)
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return Description{}, fmt.Errorf("download: %s: %w: %w", address, ErrRefused, err)
	}
	reply, err := c.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which is named anyway
	}
	if err != nil {
		return Description{}, fmt.Errorf("download: %s: %w", address, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK || reply.ContentLength <= 0 {
		return Description{}, fmt.Errorf("download: %s: %w: %s, %d bytes", address, ErrRefused, reply.Status, reply.ContentLength)
	}
	return Description{Size: reply.ContentLength, MD5: statedMD5(reply.Header)}, nil
}

// statedMD5 finds base64 of an MD5 in a reply's header.
func statedMD5(h http.Header) string {
	stated := h.Values("Content-MD5")
	for _, line := range h.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(line, ",") {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(part), "md5="); ok {
				stated = append(stated, sum)
			}
		}
	}
	for _, text := range stated {
		if sum, err := base64.StdEncoding.DecodeString(text); err == nil && len(sum) == md5.Size {
			return hex.EncodeToString(sum)
		}
	}
	return ""
}
