package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Alert is something that somebody should know, until it is resolved.
type Alert struct {
	// Key tells it from others of its cluster; what happens again under it is counted.
	Key      string          `json:"key"`
	Kind     AlertKind       `json:"kind"`
	Severity bailey.Severity `json:"severity"`
	Title    string          `json:"title"`
	Text     string          `json:"text,omitempty"`
	Object   bailey.Ref      `json:"object,omitzero"`
	// Doc is what else is to be kept of it, as JSON.
	Doc json.RawMessage `json:"doc,omitempty"`

	// What follows the store sets. First and Last are when it was first and last raised,
	// Times how often.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	Times int       `json:"times,omitempty"`
	// Resolved is when it ended; zero while it lasts. Delivered is when a notifier last
	// delivered it.
	Resolved  time.Time `json:"resolved,omitzero"`
	Delivered time.Time `json:"delivered,omitzero"`
	// Changed is the number of its last change that a notifier should deliver.
	Changed int64 `json:"changed,omitempty"`
	Seq     int64 `json:"seq,omitempty"`
}

// AlertKind is what an alert is about.
type AlertKind string

// The kinds of alert.
const (
	AlertDetection AlertKind = "detection"
	AlertFinding   AlertKind = "finding"
	AlertLedger    AlertKind = "ledger"
	AlertRung      AlertKind = "rung"
	AlertStaleness AlertKind = "staleness"
)

var alertColumns = []string{"cluster", "id", "seq", "kind", "severity", "namespace", "object", "first_at", "last_at", "resolved_at", "delivered_at",
	"changed", "delivered", "times", "doc"}

// Raise keeps an alert. Raised again while it lasts it is counted, and is delivered again
// only if its severity, title or text changed, or once it was resolved. Raised twice at one
// moment it counts once.
func (s *Store) Raise(ctx context.Context, cluster string, at time.Time, a Alert) error {
	if a.Key == "" || a.Kind == "" {
		return errors.New("store: an alert needs a key and a kind")
	}
	a.First, a.Last, a.Times, a.Resolved, a.Delivered, a.Changed, a.Seq = time.Time{}, time.Time{}, 0, time.Time{}, time.Time{}, 0, 0
	return s.write(ctx, cluster, at, func(w *writer) error {
		doc, _, err := encode(a)
		if err != nil {
			return err
		}
		key, namespace := clean(a.Key), home(a.Object)
		var seq, first, last, changed, delivered int64
		var resolved, deliveredAt sql.NullInt64
		var times int
		var kept string
		err = w.row("SELECT seq, first_at, last_at, resolved_at, delivered_at, changed, delivered, times, doc FROM alerts WHERE cluster = ? AND id = ?", w.cluster, key).
			Scan(&seq, &first, &last, &resolved, &deliveredAt, &changed, &delivered, &times, &kept)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			seq = w.change("alert", "added", namespace, int(a.Severity), key)
			first, changed = w.at, seq
		case err != nil:
			return err
		case resolved.Valid && last == w.at && kept == doc:
			return nil // the same once more, after it was resolved
		case resolved.Valid:
			changed = w.change("alert", "reopened", namespace, int(a.Severity), key)
		case kept != doc:
			changed = w.change("alert", "changed", namespace, int(a.Severity), key)
		case last == w.at:
			return nil
		default:
			w.change("alert", "raised", namespace, int(a.Severity), key)
		}
		return w.insert("alerts", alertColumns, [][]any{{w.cluster, key, seq, string(a.Kind), int(a.Severity), namespace, refText(a.Object),
			first, w.at, nil, deliveredAt, changed, delivered, times + 1, doc}},
			"ON CONFLICT (cluster, id) DO UPDATE SET "+replace(alertColumns[3:]))
	})
}

// Revise has an alert that lasts say something else: it is neither counted nor delivered
// again. Where it belongs stays as it was raised.
func (s *Store) Revise(ctx context.Context, cluster string, at time.Time, a Alert) error {
	a.First, a.Last, a.Times, a.Resolved, a.Delivered, a.Changed, a.Seq = time.Time{}, time.Time{}, 0, time.Time{}, time.Time{}, 0, 0
	return s.write(ctx, cluster, at, func(w *writer) error {
		doc, _, err := encode(a)
		if err != nil {
			return err
		}
		var namespace, kept string
		err = w.row("SELECT namespace, doc FROM alerts WHERE cluster = ? AND id = ? AND resolved_at IS NULL", w.cluster, clean(a.Key)).Scan(&namespace, &kept)
		if errors.Is(err, sql.ErrNoRows) || err == nil && kept == doc {
			return nil
		}
		if err != nil {
			return err
		}
		w.change("alert", "revised", namespace, int(a.Severity), clean(a.Key))
		_, err = w.exec("UPDATE alerts SET severity = ?, doc = ? WHERE cluster = ? AND id = ?", int(a.Severity), doc, w.cluster, clean(a.Key))
		return err
	})
}

// Resolve ends an alert, if it lasts.
func (s *Store) Resolve(ctx context.Context, cluster string, at time.Time, key string) error {
	return s.write(ctx, cluster, at, func(w *writer) error {
		var namespace string
		var severity int
		err := w.row("SELECT namespace, severity FROM alerts WHERE cluster = ? AND id = ? AND resolved_at IS NULL", w.cluster, clean(key)).Scan(&namespace, &severity)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		seq := w.change("alert", "resolved", namespace, severity, clean(key))
		_, err = w.exec("UPDATE alerts SET resolved_at = ?, changed = ? WHERE cluster = ? AND id = ?", w.at, seq, w.cluster, clean(key))
		return err
	})
}

// Delivered notes that the alert was delivered as it was at its change number changed.
func (s *Store) Delivered(ctx context.Context, cluster string, at time.Time, key string, changed int64) error {
	return s.write(ctx, cluster, at, func(w *writer) error {
		_, err := w.exec("UPDATE alerts SET delivered = ?, delivered_at = ? WHERE cluster = ? AND id = ? AND delivered < ? AND changed >= ?",
			changed, w.at, w.cluster, clean(key), changed, changed)
		return err
	})
}

const alertFields = "seq, first_at, last_at, resolved_at, delivered_at, changed, times, doc"

func scanAlert(scan func(...any) error) (Alert, int64, error) {
	var a Alert
	var seq, first, last, changed int64
	var times int
	var resolved, delivered sql.NullInt64
	var doc string
	if err := scan(&seq, &first, &last, &resolved, &delivered, &changed, &times, &doc); err != nil {
		return a, 0, err
	}
	err := decode(doc, &a)
	a.Seq, a.First, a.Last, a.Changed, a.Times = seq, moment(first), moment(last), changed, times
	if resolved.Valid {
		a.Resolved = moment(resolved.Int64)
	}
	if delivered.Valid {
		a.Delivered = moment(delivered.Int64)
	}
	return a, seq, err
}

// Waiting gives the alerts that changed since they were delivered, the oldest change first.
func (s *Store) Waiting(ctx context.Context, cluster string, limit int) ([]Alert, error) {
	var all []Alert
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		return r.each(func(rows *sql.Rows) error {
			a, _, err := scanAlert(rows.Scan)
			all = append(all, a)
			return err
		}, "SELECT "+alertFields+" FROM alerts WHERE cluster = ? AND changed > delivered ORDER BY changed LIMIT ?", n, pageSize(limit))
	})
	return all, err
}

// AlertSort is the order of alerts.
type AlertSort string

// The orders of alerts.
const (
	AlertsNewest AlertSort = ""         // those that came first last
	AlertsOldest AlertSort = "oldest"   // those that came first first
	AlertsWorst  AlertSort = "severity" // the worst first, of equal ones the newest
)

// AlertQuery asks for alerts. What is not set does not narrow it.
type AlertQuery struct {
	Cluster    string
	Access     Access
	Namespaces []string
	// State is Open for those that last, Gone for those that were resolved, or All.
	State State
	Kind  AlertKind
	// Severity is the least.
	Severity bailey.Severity
	// Keys asks for those whose key begins with one of these.
	Keys   []string
	Object *bailey.Ref
	// Text asks for those that hold each word of it in their key, title or text.
	Text string
	// Look is how many alerts are looked at for the text; what is usual if zero.
	Look  int
	Sort  AlertSort
	Limit int
	After string
}

// Alerts gives a page of alerts. With a text it may hold less than its limit, and go on.
func (s *Store) Alerts(ctx context.Context, q AlertQuery) (Page[Alert], error) {
	l := listing{columns: alertFields, table: "alerts", cluster: q.Cluster, limit: q.Limit, after: q.After, text: q.Text}
	by := sieve[Alert]{most: q.Look, keep: saying(q.Text, func(a *Alert) []string { return []string{a.Key, a.Title, a.Text} })}
	switch q.Sort {
	case AlertsNewest:
	case AlertsOldest:
		l.oldest = true
	case AlertsWorst:
		l.rank, by.rank = "severity", func(a *Alert) int { return int(a.Severity) }
	default:
		return Page[Alert]{}, fmt.Errorf("store: no order %q: use %q, %q or %q", q.Sort, AlertsNewest, AlertsOldest, AlertsWorst)
	}
	l.within(q.Access, q.Namespaces)
	l.equal("kind", string(q.Kind))
	if q.Severity > bailey.SeverityNone {
		l.where.WriteString(" AND severity >= ?")
		l.args = append(l.args, int(q.Severity))
	}
	if len(q.Keys) > 0 {
		var begins []string
		for _, key := range q.Keys {
			begins = append(begins, "id >= ? AND id < ?")
			l.args = append(l.args, clean(key), clean(key)+"\U0010FFFF")
		}
		l.where.WriteString(" AND (" + strings.Join(begins, " OR ") + ")")
	}
	if q.Object != nil {
		l.equal("object", refText(*q.Object))
	}
	switch q.State {
	case Open:
		l.where.WriteString(" AND resolved_at IS NULL")
	case Gone:
		l.where.WriteString(" AND resolved_at IS NOT NULL")
	}
	return sift(ctx, s, l, scanAlert, by)
}

// Alert gives one alert.
func (s *Store) Alert(ctx context.Context, access Access, cluster, key string) (Alert, error) {
	var a Alert
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		condition, args := access.limit("namespace", nil)
		a, _, err = scanAlert(r.row("SELECT "+alertFields+" FROM alerts WHERE cluster = ? AND id = ?"+condition, append([]any{n, clean(key)}, args...)...).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("store: no alert %q: %w", key, ErrNotFound)
		}
		return err
	})
	return a, err
}
