package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Waiver is a waiver with its history.
type Waiver struct {
	ID string `json:"id"`
	bailey.Waiver
	Added   time.Time `json:"added"`
	AddedBy string    `json:"addedBy"`
	// Removed is zero while it is in force or has expired.
	Removed   time.Time `json:"removed,omitzero"`
	RemovedBy string    `json:"removedBy,omitempty"`
	// Extended is how its end was put off, the first time first.
	Extended []Extension `json:"extended,omitempty"`
	Seq      int64       `json:"seq,omitempty"`
}

// Extension is how the end of a waiver was put off.
type Extension struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	From    time.Time `json:"from"` // when it would have ended
	Expires time.Time `json:"expires"`
	Reason  string    `json:"reason"`
}

// extensionsMost is how often a waiver is extended at most.
const extensionsMost = 100

type waiverDoc struct {
	bailey.Waiver
	AddedBy  string      `json:"addedBy"`
	Extended []Extension `json:"extended,omitempty"`
}

// AddWaiver keeps a waiver under an ID of its own; added again it must be the same.
func (s *Store) AddWaiver(ctx context.Context, cluster string, at time.Time, id, by string, waiver bailey.Waiver) error {
	switch {
	case id == "" || by == "":
		return errors.New("store: a waiver needs an ID, and somebody who adds it")
	case waiver.Rule == "" || waiver.Reason == "" || waiver.Owner == "" || waiver.Expires.IsZero():
		return errors.New("store: a waiver needs a rule, a reason, an owner and an expiry")
	}
	waiver.Expires = waiver.Expires.UTC()
	return s.write(ctx, cluster, at, func(w *writer) error {
		doc, _, err := encode(waiverDoc{waiver, by, nil})
		if err != nil {
			return err
		}
		var kept string
		err = w.row("SELECT doc FROM waivers WHERE cluster = ? AND id = ?", w.cluster, clean(id)).Scan(&kept)
		switch {
		case err == nil && kept == doc:
			return nil
		case err == nil:
			return fmt.Errorf("store: there is another waiver %q: %w", id, ErrConflict)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		// One with a wildcard is no single namespace's.
		namespace := clean(waiver.Namespace)
		if strings.Contains(namespace, "*") {
			namespace = ""
		}
		return w.insert("waivers", []string{"cluster", "id", "seq", "namespace", "added_at", "removed_at", "removed_by", "doc"},
			[][]any{{w.cluster, clean(id), w.change("waiver", "added", namespace, 0, clean(id)), namespace, w.at, nil, "", doc}}, "")
	})
}

// ExtendWaiver puts off the end of a waiver that was not removed, also of one that has expired, and keeps
// who did it and why. Extended a second time to the same end it stays as it is. One that is not to end
// later, that was removed or was extended a hundred times fails with ErrConflict.
func (s *Store) ExtendWaiver(ctx context.Context, cluster string, at time.Time, id, by, reason string, expires time.Time) error {
	if by == "" || reason == "" {
		return errors.New("store: a waiver is extended by somebody, for a reason")
	}
	expires = expires.UTC()
	return s.write(ctx, cluster, at, func(w *writer) error {
		var namespace, text string
		var removed sql.NullInt64
		err := w.row("SELECT namespace, removed_at, doc FROM waivers WHERE cluster = ? AND id = ?", w.cluster, clean(id)).Scan(&namespace, &removed, &text)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("store: no waiver %q: %w", id, ErrNotFound)
		}
		if err != nil {
			return err
		}
		var doc waiverDoc
		if err := decode(text, &doc); err != nil {
			return err
		}
		last := len(doc.Extended) - 1
		switch {
		case removed.Valid:
			return fmt.Errorf("store: the waiver %q was ended: %w", id, ErrConflict)
		case last >= 0 && expires.Equal(doc.Expires) && doc.Extended[last].By == clean(by) && doc.Extended[last].Reason == clean(reason):
			return nil
		case !expires.After(doc.Expires):
			return fmt.Errorf("store: the waiver %q does not end before %s: %w", id, doc.Expires.Format(time.RFC3339), ErrConflict)
		case last+1 >= extensionsMost:
			return fmt.Errorf("store: the waiver %q was extended %d times: %w", id, extensionsMost, ErrConflict)
		}
		doc.Extended = append(doc.Extended, Extension{moment(w.at), clean(by), doc.Expires, expires, clean(reason)})
		doc.Expires = expires
		if text, _, err = encode(doc); err != nil {
			return err
		}
		w.change("waiver", "extended", namespace, 0, clean(id))
		_, err = w.exec("UPDATE waivers SET doc = ? WHERE cluster = ? AND id = ?", text, w.cluster, clean(id))
		return err
	})
}

// RemoveWaiver ends a waiver. It stays in the history.
func (s *Store) RemoveWaiver(ctx context.Context, cluster string, at time.Time, id, by string) error {
	if by == "" {
		return errors.New("store: a waiver is removed by somebody")
	}
	return s.write(ctx, cluster, at, func(w *writer) error {
		var namespace string
		var removed sql.NullInt64
		err := w.row("SELECT namespace, removed_at FROM waivers WHERE cluster = ? AND id = ?", w.cluster, clean(id)).Scan(&namespace, &removed)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("store: no waiver %q: %w", id, ErrNotFound)
		}
		if err != nil || removed.Valid {
			return err
		}
		w.change("waiver", "removed", namespace, 0, clean(id))
		_, err = w.exec("UPDATE waivers SET removed_at = ?, removed_by = ? WHERE cluster = ? AND id = ?", w.at, clean(by), w.cluster, clean(id))
		return err
	})
}

// WaiverQuery asks for waivers, those first that end last. One that names no single namespace
// belongs to the cluster. What is not set does not narrow it.
type WaiverQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	// State is Open for those that were not removed, Gone for the others, or All.
	State State
	// EndsAfter and EndsBy ask for those that end, or were removed, after a moment, or by then; in whole seconds.
	EndsAfter, EndsBy time.Time
	ID                string // of one alone
	// Keep tells which of these are asked for; all if nil. A cursor leads on with another one as well.
	Keep func(*Waiver) bool
	// Look is how many waivers are looked at for a page of those; what is usual if zero.
	Look  int
	Limit int
	After string
}

// Waivers gives a page of waivers. With Keep it may hold less than its limit, and go on.
func (s *Store) Waivers(ctx context.Context, q WaiverQuery) (Page[Waiver], error) {
	l := listing{columns: "id, seq, ends, added_at, removed_at, removed_by, doc", table: "waivers", cluster: q.Cluster, limit: q.Limit, after: q.After, rank: "ends"}
	l.within(q.Access, q.Namespaces)
	l.equal("id", q.ID)
	switch q.State {
	case Open:
		l.where.WriteString(" AND removed_at IS NULL")
	case Gone:
		l.where.WriteString(" AND removed_at IS NOT NULL")
	}
	if !q.EndsAfter.IsZero() {
		l.where.WriteString(" AND ends > ?")
		l.args = append(l.args, q.EndsAfter.Unix())
	}
	if !q.EndsBy.IsZero() {
		l.where.WriteString(" AND ends <= ?")
		l.args = append(l.args, q.EndsBy.Unix())
	}
	var ends int // of the row that was read last
	return sift(ctx, s, l, func(scan func(...any) error) (Waiver, int64, error) {
		var w Waiver
		var added int64
		var removed sql.NullInt64
		var text string
		if err := scan(&w.ID, &w.Seq, &ends, &added, &removed, &w.RemovedBy, &text); err != nil {
			return w, 0, err
		}
		var doc waiverDoc
		err := decode(text, &doc)
		w.Waiver, w.AddedBy, w.Added, w.Extended = doc.Waiver, doc.AddedBy, moment(added), doc.Extended
		if removed.Valid {
			w.Removed = moment(removed.Int64)
		}
		return w, w.Seq, err
	}, sieve[Waiver]{keep: q.Keep, most: q.Look, rank: func(*Waiver) int { return ends }})
}

// Accepted is how many open findings a waiver takes in.
type Accepted struct {
	Waiver   bailey.Waiver
	Findings int
}

// acceptedRows bounds the findings that are read to count them by waiver.
const acceptedRows = 3000

// byWaiver is what the index findings_by_waiver holds, of what is open.
const byWaiver = `f.gone = 0 AND f.waived = 1 AND replace(f.doc, '"waiver":', '') <> f.doc`

// Accepted counts the open findings that may be seen by the waiver that takes them in. More
// tells that there were too many to read: the counts are of a part.
func (s *Store) Accepted(ctx context.Context, access Access, cluster string) (counts []Accepted, more bool, err error) {
	found := map[string]int{} // by the waiver as it is written
	where, args := access.limit("f.namespace", nil)
	if err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		rows := 0
		return r.each(func(row *sql.Rows) error {
			if rows++; rows > acceptedRows {
				more = true
				return nil
			}
			var text string
			if err := row.Scan(&text); err != nil {
				return err
			}
			var doc struct {
				Waiver json.RawMessage `json:"waiver"`
			}
			err := decode(text, &doc)
			if doc.Waiver != nil { // else it is a fix that names one
				found[string(doc.Waiver)]++
			}
			return err
		}, "SELECT f.doc FROM findings f WHERE f.cluster = ? AND "+byWaiver+where+" ORDER BY f.severity DESC, f.opened DESC LIMIT ?",
			slices.Concat([]any{n}, args, []any{acceptedRows + 1})...)
	}); err != nil {
		return nil, false, err
	}
	for _, text := range slices.Sorted(maps.Keys(found)) {
		a := Accepted{Findings: found[text]}
		if err := decode(text, &a.Waiver); err != nil {
			return nil, false, err
		}
		counts = append(counts, a)
	}
	return counts, more, nil
}
