package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Rotate begins a new period with a new key at once, and gives its name.
func (l *Log) Rotate(ctx context.Context) (string, error) {
	if err := l.await(); err != nil {
		return "", err
	}
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if err := l.startPeriod(ctx, l.config, l.configSum); err != nil {
		return "", err
	}
	return l.period.Load().Name, nil
}

// Reconfigure changes recipients, witnesses and quorum. A new period begins, whose key
// the new recipients hold; earlier periods stay with theirs. New witnesses are asked after the next Open.
func (l *Log) Reconfigure(ctx context.Context, recipients []string, witnesses []Witness, quorum int) error {
	if err := l.await(); err != nil {
		return err
	}
	next := l.config
	next.Recipients, next.Witnesses, next.Quorum = recipients, witnesses, quorum
	if err := next.check(); err != nil {
		return err
	}
	data, err := next.marshal()
	if err != nil {
		return err
	}
	// First the intention, then the log, then the name that counts: what a
	// crash cuts off, the next Open finishes.
	if err := writeDurable(filepath.Join(l.dir, configNext), data); err != nil {
		return err
	}
	return l.finishReconfigure(ctx)
}

// finishReconfigure carries out a change of configuration that was begun, if there is one.
func (l *Log) finishReconfigure(ctx context.Context) error {
	path := filepath.Join(l.dir, configNext)
	data, err := readBounded(os.DirFS(l.dir), configNext, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	next, err := ParseConfig(data)
	if err != nil {
		return fmt.Errorf("%s: %w", configNext, err)
	}
	if next.Origin != l.config.Origin || next.Key != l.config.Key {
		return fmt.Errorf("%s names another log", configNext)
	}
	l.rotating.Lock()
	defer l.rotating.Unlock()
	sum := hexSum(data)
	if err := l.startPeriod(ctx, next, sum); err != nil {
		return err
	}
	l.config, l.configSum = next, sum
	if err := os.Rename(path, filepath.Join(l.dir, configFile)); err != nil {
		return err
	}
	return syncFolder(l.dir)
}
