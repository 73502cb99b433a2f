package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
)

// gateAsked keeps in a file by which audit IDs the gates of up wrote and removed their webhook
// configuration: detections tell of nobody's doing that was their own, also when the next up
// reads of it.
type gateAsked struct{ path string }

const (
	gateAskedKept  = 50      // IDs
	gateAskedLimit = 1 << 20 // bytes
)

// all gives the IDs, and keeps the newest.
func (g gateAsked) all() ([]string, error) {
	data, err := readBounded(g.path, gateAskedLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(string(data))
	ids = slices.Clone(ids[max(0, len(ids)-gateAskedKept):])
	return ids, writeFile(g.path, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(ids, "\n")+"\n")
		return err
	})
}

// add notes an ID. One that is lost is an alert too many.
func (g gateAsked) add(id string) {
	f, err := os.OpenFile(g.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(id + "\n")
	_ = f.Close()
}

// changing has the audit IDs of requests that change something told, before they are made.
type changing struct {
	next http.RoundTripper
	tell func(auditID string)
}

// RoundTrip is of http.RoundTripper.
func (c changing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return c.next.RoundTrip(r)
	}
	return telling(c).RoundTrip(r)
}
