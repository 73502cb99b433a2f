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
	if err := l.own.begin(hexSum(data)); err != nil {
		return err
	}
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
	if err := syncFolder(l.dir); err != nil {
		return err
	}
	return l.own.end(sum)
}

// checkConfig refuses a configuration that the writer did not make: who could change the
// recipients in the folder would read what comes.
func (l *Log) checkConfig() error {
	config, next := l.own.state.Config, l.own.state.Next
	data, err := readBounded(os.DirFS(l.dir), configNext, maxConfig)
	begun := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.configSum != next && l.configSum != config {
		return fmt.Errorf("%s is not the configuration that this ledger runs with: somebody changed it\nhint: restore it; `bailey ledger config` changes recipients and witnesses", configFile)
	}
	if begun && hexSum(data) != next {
		return fmt.Errorf("%s is no change that this ledger began\nhint: remove it; `bailey ledger config` changes recipients and witnesses", configNext)
	}
	return nil
}
