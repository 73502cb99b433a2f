package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Session is somebody's who has logged in, as all processes share it. Nothing in it can be read without
// the session's secret, which is not kept. Backups by Export leave sessions out, and a restored one has none.
type Session struct {
	// ID is the hash of the secret (HashToken).
	ID    string
	Until time.Time // when it ends
	// Claimed is until when one process alone asks what the session rests on; the zero time: nobody does.
	Claimed time.Time
	// Version counts the changes.
	Version int64
	// Sealed is what the secret opens.
	Sealed []byte
}

var errNoSession = fmt.Errorf("store: there is no such session: %w", ErrNotFound)

// AddSession keeps a new session. Of more than most, those go first that would have ended first.
func (s *Store) AddSession(ctx context.Context, one Session, most int) error {
	return s.change(ctx, func(r *reader) error {
		if _, err := r.exec("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions ORDER BY until DESC, id DESC LIMIT ? OFFSET ?)", pruneRows, most-1); err != nil {
			return err
		}
		return r.insert("sessions", []string{"id", "until", "claimed", "version", "sealed"},
			[][]any{{one.ID, nanos(one.Until), nanos(one.Claimed), one.Version, base64.StdEncoding.EncodeToString(one.Sealed)}}, "")
	})
}

// Session gives the session with an ID, also one that is over; ErrNotFound if there is none.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	one := Session{ID: id}
	err := s.read(ctx, func(r *reader) error {
		var until, claimed int64
		var sealed string
		err := r.row("SELECT until, claimed, version, sealed FROM sessions WHERE id = ?", id).Scan(&until, &claimed, &one.Version, &sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoSession
		}
		if err != nil {
			return err
		}
		one.Until, one.Claimed = moment(until), moment(claimed)
		if one.Sealed, err = base64.StdEncoding.DecodeString(sealed); err != nil {
			return fmt.Errorf("store: %w: a session cannot be read", ErrDamaged)
		}
		return nil
	})
	return one, err
}

// SwapSession keeps what a session has become, if nobody else has changed it since: its version is the next one
// then. ErrConflict if somebody has, or it has ended.
func (s *Store) SwapSession(ctx context.Context, one Session) error {
	return s.change(ctx, func(r *reader) error {
		n, err := r.exec("UPDATE sessions SET until = ?, claimed = ?, sealed = ?, version = version + 1 WHERE id = ? AND version = ?",
			nanos(one.Until), nanos(one.Claimed), base64.StdEncoding.EncodeToString(one.Sealed), one.ID, one.Version)
		if err == nil && n == 0 {
			err = fmt.Errorf("store: the session was changed, or has ended: %w", ErrConflict)
		}
		return err
	})
}

// EndSession removes a session, if it is there.
func (s *Store) EndSession(ctx context.Context, id string) error {
	// Strangers who make IDs up do not come to where one writes at a time.
	if _, err := s.Session(ctx, id); err != nil {
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	return s.change(ctx, func(r *reader) error {
		_, err := r.exec("DELETE FROM sessions WHERE id = ?", id)
		return err
	})
}

// PruneSessions removes the sessions that were over at a moment.
func (s *Store) PruneSessions(ctx context.Context, at time.Time) error {
	return s.change(ctx, func(r *reader) error {
		_, err := r.exec("DELETE FROM sessions WHERE until <= ?", nanos(at))
		return err
	})
}
