package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	auditlog "github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/ledger/audit"
)

const (
	logBatch      = 400                   // lines that are appended together
	logBatchBytes = 4 << 20               // and their size
	logGather     = 20 * time.Millisecond // how long the first of them waits for others
	logRetry      = 2 * time.Second       // after the ledger did not take a batch
	maxPosition   = 64 << 10
)

// auditLog is a file of --log.
type auditLog struct{ apiServer, path string }

func (f *auditFlags) auditLogs() ([]auditLog, error) {
	var logs []auditLog
	for _, text := range f.logs {
		name, path, named := strings.Cut(text, "=")
		if !named {
			name, path = audit.DefaultAPIServer, text
		}
		for _, other := range logs {
			if other.apiServer == name {
				return nil, usageError("--log %s: %q has a log already", text, name)
			}
		}
		if !audit.ValidAPIServer(name) {
			return nil, usageError("--log %s: the name %q is not a DNS name\nhint: [NAME=]FILE", text, name)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, usageError("--log %s: %w\nhint: [NAME=]FILE, the file that the API server's --audit-log-path names", text, err)
		}
		logs = append(logs, auditLog{name, path})
	}
	return logs, nil
}

// logLine is one event of a log and the position after it.
type logLine struct {
	raw json.RawMessage
	pos auditlog.Position
}

// follow reads an audit log from where it was left until ctx ends. Lines that may be
// missing are a break, which the account names.
func (l auditLog) follow(ctx context.Context, sink *audit.Sink, log *slog.Logger, state string) error {
	saved := filepath.Join(state, "log-"+l.apiServer+".json")
	from, err := readPosition(saved)
	if err != nil {
		return fmt.Errorf("%w\nhint: move %s away to read the log from its beginning", err, saved)
	}
	for {
		err := l.read(ctx, sink, log, saved, from)
		var lost *auditlog.LostError
		var long *auditlog.LongLineError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &lost), errors.As(err, &long):
			if err := sink.Break(ctx, l.apiServer, "lines of the API server's log were not read: "+err.Error()); err != nil {
				return err
			}
			if from, err = l.resume(long); err != nil {
				return err
			}
		case errors.Is(err, fs.ErrNotExist):
			if err := sink.Break(ctx, l.apiServer, "the API server's log is gone: "+err.Error()); err != nil {
				return err
			}
			if !l.appears(ctx) {
				return nil
			}
			from = auditlog.Position{}
		default:
			return fmt.Errorf("the audit log %s: %w", l.path, err)
		}
	}
}

// resume is where to go on after a break: behind a line that cannot be read, or at the
// beginning of the oldest file that is left. What was taken from it before is kept once.
func (l auditLog) resume(behind *auditlog.LongLineError) (auditlog.Position, error) {
	if behind != nil {
		return behind.Next, nil
	}
	return auditlog.Oldest(l.path)
}

// appears waits for the file.
func (l auditLog) appears(ctx context.Context) bool {
	for {
		if _, err := os.Stat(l.path); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(logRetry):
		}
	}
}

// read takes lines in batches, and notes how far it came once they are durable.
func (l auditLog) read(ctx context.Context, sink *audit.Sink, log *slog.Logger, saved string, from auditlog.Position) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan logLine, logBatch)
	taking := make(chan error, 1)
	go func() {
		err := l.take(ctx, sink, log, saved, lines)
		cancel()
		taking <- err
	}()
	err := auditlog.Tail(ctx, l.path, from, func(text []byte, pos auditlog.Position) error {
		select {
		case lines <- logLine{bytes.Clone(text), pos}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(lines)
	if taken := <-taking; taken != nil && !errors.Is(taken, context.Canceled) {
		return taken
	}
	return err
}

func (l auditLog) take(ctx context.Context, sink *audit.Sink, log *slog.Logger, saved string, lines <-chan logLine) error {
	source := audit.Source{APIServer: l.apiServer, Log: true}
	for {
		first, open := <-lines
		if !open {
			return nil
		}
		batch, size, last := []json.RawMessage{first.raw}, len(first.raw), first.pos
		timer := time.NewTimer(logGather)
	gather:
		for len(batch) < logBatch && size < logBatchBytes {
			select {
			case next, open := <-lines:
				if !open {
					break gather
				}
				batch, size, last = append(batch, next.raw), size+len(next.raw), next.pos
			case <-timer.C:
				break gather
			}
		}
		timer.Stop()
		for {
			err := sink.Take(ctx, source, batch)
			if err == nil {
				break
			}
			var bad *audit.EventError
			if errors.As(err, &bad) {
				// A line that is no event, such as a half one that a full disk left.
				if err := sink.Break(ctx, l.apiServer, "a line of the API server's log is no audit event: "+bad.Error()); err != nil {
					return err
				}
				batch = append(batch[:bad.Position], batch[bad.Position+1:]...)
				continue
			}
			log.Error("lines of the audit log were not taken; they are tried again", "apiServer", l.apiServer, "error", err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(logRetry):
			}
		}
		if err := writePosition(saved, last); err != nil {
			log.Warn("the place in the audit log could not be noted", "error", err)
		}
	}
}

func readPosition(path string) (auditlog.Position, error) {
	var pos auditlog.Position
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return pos, nil
	}
	if err == nil && len(data) > maxPosition {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = json.Unmarshal(data, &pos)
	}
	if err != nil {
		return pos, fmt.Errorf("the place in the audit log, %s: %w", path, err)
	}
	return pos, nil
}

// writePosition is not flushed to the disk: an older place means that lines are taken
// again, and kept once.
func writePosition(path string, pos auditlog.Position) error {
	data, err := json.Marshal(pos)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
