package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// auditFile keeps, in the data folder, up to where the audit log was read.
const auditFile = "audit.json"

// auditRead is what auditFile holds.
type auditRead struct {
	Log  string          `json:"log"`
	Upto json.RawMessage `json:"upto"`
}

// openDetector makes what follows the audit log; s.detector stays nil where none is named.
func (s *serving) openDetector() error {
	path, from := s.flags.auditLog, "--audit-log"
	if path == "" && s.conf.Detection.AuditLog != "" {
		path, from = s.conf.relative(s.conf.Detection.AuditLog), "detection.auditLog"
	}
	if path == "" {
		return nil
	}
	if s.flags.path != "" {
		return usageError("%s is the log of a cluster, and --target watches files\nhint: leave out one of the two", from)
	}
	if s.flags.replicate {
		return usageError("%s is the log of one machine, and replicas take turns: a server with --replicate follows none\nhint: `bailey detect --follow` does, on that machine", from)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := audit.End(path); err != nil {
		return usageError("%s: %w\nhint: it is the file of the API server's --audit-log-path", from, err)
	}
	s.flags.auditLog = path
	kept := filepath.Join(s.flags.data, auditFile)
	s.detector = server.NewDetector(server.DetectorOptions{Path: path, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now,
		Load: func() ([]byte, error) {
			data, err := readBounded(kept, 64<<10)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			var was auditRead
			if json.Unmarshal(data, &was) == nil && was.Log != path {
				return nil, nil
			}
			return bytes.Clone(was.Upto), nil
		},
		Save: func(upto []byte) error {
			data, err := json.Marshal(auditRead{path, upto})
			if err != nil {
				return err
			}
			return writeFile(kept, 0o600, func(w io.Writer) error { _, err := w.Write(data); return err })
		}})
	s.metrics.Registry.MustRegister(s.detector)
	sight := s.sight
	s.sight = func() server.Sight {
		now, state := sight(), s.detector.State()
		now.Detections = &state
		return now
	}
	return nil
}

// detecting follows the audit log and raises alerts in a store; there is none of it without a log.
func (s *serving) detecting(kept *store.Store) []part {
	if s.detector == nil {
		return nil
	}
	return []part{func(ctx context.Context) error { return s.detector.Run(ctx, kept) }}
}

// tellRequests has each request's audit ID told: the API server gives it with its answer.
func tellRequests(config *rest.Config, tell func(auditID string)) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return telling{next, tell} })
}

type telling struct {
	next http.RoundTripper
	tell func(auditID string)
}

// RoundTrip is of http.RoundTripper.
func (t telling) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		t.tell(answer.Header.Get("Audit-Id"))
	}
	return answer, err
}
