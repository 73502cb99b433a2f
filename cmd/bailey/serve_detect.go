package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
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
	path := s.flags.auditLog
	switch {
	case path != "" && s.flags.path != "":
		return usageError("--audit-log is the log of a cluster, and --target watches files\nhint: leave out one of the two")
	case path != "" && s.flags.replicate:
		return usageError("--audit-log is the log of one machine, and replicas take turns: a server with --replicate follows none\nhint: `bailey detect --follow` does, on that machine")
	case path != "":
		if _, err := audit.End(path); err != nil {
			return usageError("--audit-log: %w\nhint: it is the file of the API server's --audit-log-path", err)
		}
	case s.conf.Detection.AuditLog == "", s.flags.path != "":
		return nil
	case s.flags.replicate:
		s.log.Warn("detection.auditLog of the configuration is not followed: it is the log of one machine, and replicas take turns")
		return nil
	default: // it may be made later, when the API server starts
		path = s.conf.relative(s.conf.Detection.AuditLog)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	s.flags.auditLog = path
	if err := s.flags.openHallmark(s.app.now); err != nil {
		return err
	}
	kept := filepath.Join(s.flags.data, auditFile)
	s.detector = server.NewDetector(server.DetectorOptions{Path: path, Hallmark: s.flags.hallmark, Rate: s.flags.rate, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now,
		Load: func() ([]byte, error) {
			data, err := readBounded(kept, 64<<10)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			var was auditRead
			if json.Unmarshal(data, &was) != nil {
				return data, nil // that it says nothing is told
			}
			if was.Log != path {
				return nil, nil
			}
			return was.Upto, nil
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

// ours has the detector know the requests of a client.
func (s *serving) ours(config *rest.Config) {
	if s.detector != nil {
		s.flags.hallmark.Around(config)
	}
}
