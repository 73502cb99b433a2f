package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
)

const (
	periodLayout = "20060102T150405.000Z"
	maxWrapped   = 256 << 10
)

// periodKey is what a wrapped key file holds, as JSON, for its recipients.
type periodKey struct {
	Period string `json:"period"`
	Key    []byte `json:"key"` // AES-256-GCM
	IDs    []byte `json:"ids"` // HMAC-SHA-256 key of the keyed IDs
}

// period is the one that the writer seals with now.
type period struct {
	Name  string `json:"period"`
	Index uint64 `json:"index"` // of its key entry
	Key   []byte `json:"key"`

	start  time.Time
	sealer *sealer
}

// validPeriod reports whether a name is one that newPeriod gives: names become file names.
func validPeriod(name string) bool {
	t, err := time.Parse(periodLayout, name)
	return err == nil && t.Format(periodLayout) == name
}

func wrappedPath(period string) string { return keyFolder + "/" + period + ".age" }

// due reports whether the period is over: it began on an earlier UTC day, or the clock was
// ahead when it did.
func (p *period) due(now time.Time) bool {
	return now.UTC().Format(time.DateOnly) > p.start.Format(time.DateOnly) || p.ahead(now)
}

// ahead reports whether the period began more than a day after now. Less may be a clock that is
// set back, and ends nothing.
func (p *period) ahead(now time.Time) bool { return p.start.Sub(now) > 24*time.Hour }

// startPeriod makes a new key, wraps it for the recipients, records it in the
// log and seals with it from then on. The order makes every crash harmless: a
// wrapped key that no entry names is an unused file, and a key entry whose key
// the writer did not keep has no records. The old key goes when all that it sealed is
// in the log and signed, so that an open can tell its own records. l.rotating is held.
func (l *Log) startPeriod(ctx context.Context, config Config, configSum string) error {
	name, err := l.periodName()
	if err != nil {
		return err
	}
	p := &period{Name: name, Key: make([]byte, periodKeySize)}
	rand.Read(p.Key)
	if err := p.prepare(l.config.Origin); err != nil {
		return err
	}
	wrapped, err := wrapKey(periodKey{p.Name, p.Key, l.idKey}, config.Recipients)
	if err != nil {
		return err
	}
	if err := writeDurable(filepath.Join(l.dir, wrappedPath(p.Name)), wrapped); err != nil {
		return err
	}
	data, err := jsonEntry(kindKey, keyEntry{p.Name, hexSum(wrapped), configSum, config.Recipients})
	if err != nil {
		return err
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if p.Index, err = l.addControl(ctx, data); err != nil {
		return err
	}
	if err := l.confirm(ctx, p.Index); err != nil {
		return err
	}
	state, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := writeDurable(filepath.Join(l.dir, periodFile), state); err != nil {
		// Which of the two keys an open would find is not known: no more is sealed with either.
		l.period.Store(nil)
		return fmt.Errorf("the key of period %s may not have been kept: %w", p.Name, err)
	}
	l.period.Store(p)
	return nil
}

// periodName gives the name of a period that begins now. Names are unique whatever the clock does, and
// ascend but where it was ahead.
func (l *Log) periodName() (string, error) {
	now := l.now().UTC()
	if p := l.period.Load(); p != nil && !now.Truncate(time.Millisecond).After(p.start) && !p.ahead(now) {
		now = p.start.Add(time.Millisecond)
	}
	for {
		name := now.Format(periodLayout)
		_, err := os.Stat(filepath.Join(l.dir, wrappedPath(name)))
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		now = now.Add(time.Millisecond)
	}
}

func (p *period) prepare(origin string) (err error) {
	if p.start, err = time.Parse(periodLayout, p.Name); err != nil {
		return fmt.Errorf("%s: %w", periodFile, err)
	}
	p.sealer, err = newSealer(p.Key, origin, p.Name)
	return err
}

// loadPeriod gives the period that an earlier process began, or nil.
func (l *Log) loadPeriod() (*period, error) {
	data, err := os.ReadFile(filepath.Join(l.dir, periodFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &period{}
	if err := strictJSON(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w", periodFile, err)
	}
	return p, p.prepare(l.config.Origin)
}

func wrapKey(k periodKey, recipients []string) ([]byte, error) {
	to, err := parseRecipients(recipients)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(plain, '\n')); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

var errNoIdentity = errors.New("none of the identities is a recipient of this period's key")

// unwrapKey opens the key file of a period. It fails with fs.ErrNotExist where the file is gone.
func unwrapKey(fsys fs.FS, k keyEntry, identities []age.Identity) (periodKey, error) {
	var key periodKey
	name := wrappedPath(k.Period)
	wrapped, err := readBounded(fsys, name, maxWrapped)
	if err != nil {
		return key, err
	}
	if hexSum(wrapped) != k.Wrapped {
		return key, fmt.Errorf("%s is not the file whose hash the log holds", name)
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), identities...)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return key, fmt.Errorf("%s: %w", name, errNoIdentity)
		}
		return key, fmt.Errorf("%s: %w", name, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return key, fmt.Errorf("%s: %w", name, err)
	}
	if err := strictJSON(plain, &key); err != nil {
		return key, fmt.Errorf("%s: %w", name, err)
	}
	if key.Period != k.Period || len(key.Key) != periodKeySize || len(key.IDs) != idKeySize {
		return key, fmt.Errorf("%s does not hold the key of period %s", name, k.Period)
	}
	return key, nil
}
