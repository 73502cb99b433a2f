package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey/store"
)

// SessionStore keeps sessions where all replicas find them; *store.Store does, and says what its methods do.
type SessionStore interface {
	AddSession(ctx context.Context, one store.Session, most int) error
	Session(ctx context.Context, id string) (store.Session, error)
	SwapSession(ctx context.Context, one store.Session) error
	EndSession(ctx context.Context, id string) error
}

func (s *Sessions) store() SessionStore {
	if s.Store == nil {
		return &s.own
	}
	if !s.Alone {
		return s.Store
	}
	return fallback{s.Store, &s.own, s.Log}
}

// fallback keeps sessions in a store and, where that takes none, as on a full disk, in this process: whoever comes to see what
// is wrong must be able to log in.
type fallback struct {
	SessionStore
	own *ownSessions
	log *slog.Logger
}

// of gives where a session is.
func (b fallback) of(id string) SessionStore {
	if _, err := b.own.Session(context.Background(), id); err == nil {
		return b.own
	}
	return b.SessionStore
}

// AddSession is of SessionStore, as what follows.
func (b fallback) AddSession(ctx context.Context, one store.Session, most int) error {
	err := b.SessionStore.AddSession(ctx, one, most)
	if err == nil {
		return nil
	}
	b.log.Error("a session could not be written, and ends with this process", "error", err)
	return b.own.AddSession(ctx, one, most)
}

func (b fallback) Session(ctx context.Context, id string) (store.Session, error) {
	return b.of(id).Session(ctx, id)
}
func (b fallback) SwapSession(ctx context.Context, one store.Session) error {
	return b.of(one.ID).SwapSession(ctx, one)
}

// EndSession ends it in both: what failed may have been written all the same.
func (b fallback) EndSession(ctx context.Context, id string) error {
	return errors.Join(b.own.EndSession(ctx, id), b.SessionStore.EndSession(ctx, id))
}

// document is what is sealed of a session.
type document struct {
	Who   Who   `json:"who"`
	Basis basis `json:"basis"`
	// Checked is until when who counts without another look at the basis.
	Checked time.Time `json:"checked,omitzero"`
}

// sessionSeal says what is sealed, so that nothing sealed for another purpose is taken for it.
const sessionSeal = "bailey session"

// seal makes the document one that only the session's secret opens.
func (d *document) seal(secret string) []byte {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts and times
	}
	return sealing(secret, sessionSeal).seal(data)
}

func open(secret string, sealed []byte) (*document, error) {
	data, err := sealing(secret, sessionSeal).open(sealed)
	if err != nil {
		return nil, err
	}
	d := &document{}
	return d, json.Unmarshal(data, d)
}

// look reads a session again where it is time; o.mu is held. While the store does not answer, what it said last
// counts for sessionChecked. store.ErrNotFound if the session has ended.
func (s *Sessions) look(ctx context.Context, o *session, secret string) error {
	now := s.Now()
	if now.Before(o.read.Add(sessionRead)) {
		return nil
	}
	if !now.Before(o.reread) {
		err := s.read(ctx, o, secret)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return err
		}
		o.away, o.reread = err, s.Now().Add(sessionPause)
	}
	if now.Before(o.read.Add(sessionChecked)) {
		return nil
	}
	return o.away
}

// read reads a session again; o.mu is held.
func (s *Sessions) read(ctx context.Context, o *session, secret string) error {
	ctx, cancel := patient(ctx)
	defer cancel()
	now := s.Now()
	if o.unwritten {
		switch err := s.store().SwapSession(ctx, o.row); {
		case err == nil:
			o.row.Version++
		case !errors.Is(err, store.ErrConflict):
			return fmt.Errorf("the session could not be written: %w", err)
		}
		o.unwritten = false
	}
	row, err := s.store().Session(ctx, o.row.ID)
	if err != nil {
		return fmt.Errorf("the session could not be read: %w", err)
	}
	o.read = now
	if row.Version == o.row.Version {
		return nil
	}
	d, err := open(secret, row.Sealed)
	if err != nil {
		return err
	}
	s.become(o, row, d)
	return nil
}

// become has a session be as the store has it; o.mu is held.
func (s *Sessions) become(o *session, row store.Session, d *document) {
	o.row = row
	o.know(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.until = row.Until
}

// check asks about the basis where it is time; o.mu is held.
func (s *Sessions) check(ctx context.Context, o *session, secret string, f *Front) error {
	if !o.asked || s.Now().Before(o.checked) {
		return nil
	}
	if s.Now().Before(o.again) {
		return o.failed
	}
	if o.once {
		if mine, err := s.claim(ctx, o, secret); !mine {
			if err != nil { // whoever waits for their turn does not wait for it anew
				o.failed, o.again = err, s.Now().Add(sessionPause)
			}
			return err
		}
	}
	d, err := open(secret, o.row.Sealed)
	if err != nil {
		return err
	}
	asking, cancel := patient(ctx)
	defer cancel()
	l, err := f.renew(asking, o.who, d.Basis)
	if err != nil {
		o.failed, o.again = err, s.Now().Add(sessionPause)
		if o.once {
			if l.basis != (basis{}) { // what is to be asked by the next time has changed
				d.Basis = l.basis
			}
			return errors.Join(err, s.keep(ctx, o, secret, d, o.row.Until))
		}
		return err
	}
	o.failed = nil
	if !o.once {
		o.who, o.checked = l.who, l.checked
		return nil
	}
	until := o.row.Until
	if !l.until.IsZero() {
		until = earlier(until, l.until)
	}
	return s.keep(ctx, o, secret, &document{l.who, l.basis, l.checked}, until)
}

// claim takes a session for this process, so that what can be had once only is asked for once; o.mu is held. It is not
// mine if another process has asked meanwhile, which it waits for. The claim of one that died runs out: whether the
// provider was asked by then nobody knows, and if it was, it may refuse to be asked again.
func (s *Sessions) claim(ctx context.Context, o *session, secret string) (mine bool, err error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	for o.once && !s.Now().Before(o.checked) {
		if now := s.Now(); !now.Before(o.row.Claimed) {
			row := o.row
			row.Claimed = now.Add(sessionClaim)
			err := s.store().SwapSession(ctx, row)
			if err == nil {
				row.Version++
				o.row, o.unwritten = row, false
				return true, nil
			}
			if !errors.Is(err, store.ErrConflict) {
				return false, fmt.Errorf("the session could not be claimed: %w", err)
			}
		} else if !pause(ctx, sessionWait) {
			return false, errors.New("another replica asks what the session rests on, and has no answer yet")
		}
		if err := s.read(ctx, o, secret); err != nil {
			return false, err
		}
	}
	return false, nil
}

// keep writes what became known of a session that this process has claimed, and gives it back; o.mu is held.
func (s *Sessions) keep(ctx context.Context, o *session, secret string, d *document, until time.Time) error {
	row := o.row
	row.Until, row.Claimed, row.Sealed = until, time.Time{}, d.seal(secret)
	keeping, cancel := patient(ctx)
	defer cancel()
	err := s.store().SwapSession(keeping, row)
	if errors.Is(err, store.ErrConflict) { // it was ended meanwhile, or the claim ran out
		return s.read(ctx, o, secret)
	}
	if err == nil {
		row.Version++
	}
	o.unwritten = err != nil // it counts here, and is written as soon as it can be, before another replica's claim
	s.become(o, row, d)
	return nil
}

// ownSessions are those of one process, which end with it.
type ownSessions struct {
	mu   sync.Mutex
	rows map[string]store.Session
}

// AddSession is of SessionStore, as what follows.
func (s *ownSessions) AddSession(_ context.Context, one store.Session, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[string]store.Session{}
	}
	for len(s.rows) >= most {
		first := slices.MinFunc(slices.Collect(maps.Values(s.rows)), func(a, b store.Session) int { return a.Until.Compare(b.Until) })
		delete(s.rows, first.ID)
	}
	s.rows[one.ID] = one
	return nil
}

func (s *ownSessions) Session(_ context.Context, id string) (store.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, found := s.rows[id]
	if !found {
		return one, store.ErrNotFound
	}
	return one, nil
}

func (s *ownSessions) SwapSession(_ context.Context, one store.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, found := s.rows[one.ID]; !found || was.Version != one.Version {
		return store.ErrConflict
	}
	one.Version++
	s.rows[one.ID] = one
	return nil
}

func (s *ownSessions) EndSession(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, id)
	return nil
}
