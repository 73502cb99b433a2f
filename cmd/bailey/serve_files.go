package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/baileyhq/bailey/collect/kube"
)

// filesEvery is how often files are looked at.
const filesEvery = 2 * time.Second

// fileIdentity stands for the UID of a cluster where files are watched.
func fileIdentity(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	sum := sha256.Sum256([]byte(path))
	return "files-" + hex.EncodeToString(sum[:8])
}

// files follows a folder or a snapshot: it is read again when a file of it changed.
func (s *serving) files(ctx context.Context, f kube.Follower) error {
	seen := ""
	for first := true; ; first = false {
		if now := stamp(s.flags.path); now != seen {
			snapshot, err := s.app.snapshot(ctx, &s.flags.target, []string{s.flags.path})
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && first:
				return err
			case err != nil:
				f.Contact(kube.Contact{Lost: s.app.now(), Why: err})
			default:
				f.Whole(snapshot)
				f.Contact(kube.Contact{})
			}
			seen = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(filesEvery):
		}
	}
}

// stamp is another text whenever a file was written, added or removed.
func stamp(path string) string {
	h := sha256.New()
	err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d %d\n", at, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		fmt.Fprintln(h, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
