// Package store keeps the history of what Bailey found: findings, verdicts, evidence, runs,
// alerts, waivers and guards of many clusters, in SQLite or PostgreSQL. Open one with
// store/sqlite or store/postgres.
//
// Every change of a cluster gets a sequence number from one counter, in the transaction
// that makes it. History is ordered by it, so that a clock that is set back reorders nothing.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// The errors that callers tell apart, with errors.Is.
var (
	// ErrUnavailable: the database cannot be reached or written now (it is down, its disk
	// is full). What was not acknowledged is to be written again; writing it twice is safe.
	ErrUnavailable = errors.New("the database is unavailable")
	// ErrDamaged: the database's file is no longer whole. Restore a backup (bailey history restore).
	ErrDamaged = errors.New("the database is damaged")
	// ErrNewer: a newer version of Bailey wrote the database, in a way that this one cannot read.
	ErrNewer = errors.New("a newer version of Bailey wrote the database")
	// ErrNotFound: there is no such cluster, finding or other row, or it may not be seen.
	ErrNotFound = errors.New("not found")
	// ErrCursor: the cursor is none that this query gave.
	ErrCursor = errors.New("not a cursor of this query: begin with the first page")
	// ErrConflict: what is written contradicts what is there.
	ErrConflict = errors.New("conflict")
	// ErrTooOld: the changes asked for are no longer kept. Read the state anew.
	ErrTooOld = errors.New("these changes are no longer kept: read the state anew")
)

// Store is the history of many clusters. Its methods may be called by many goroutines.
type Store struct {
	e    Engine
	term term // zero: none
	// claim is what a push wrote in the place of its mark: what it writes counts as long as that
	// stands there. Empty: it is none.
	claim string
}

// New makes a store of an engine: it brings the tables to this version (but see AsItIs).
func New(ctx context.Context, e Engine) (*Store, error) {
	s := &Store{e: e}
	prepare := s.migrate
	if IsAsItIs(ctx) {
		prepare = s.asItIs
	}
	if err := prepare(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the use of the database.
func (s *Store) Close() error {
	err := s.e.Read.Close()
	if s.e.Write != s.e.Read {
		err = errors.Join(err, s.e.Write.Close())
	}
	if s.e.Ask != nil {
		err = errors.Join(err, s.e.Ask.Close())
	}
	return err
}

// Engine names the database: "sqlite" or "postgres".
func (s *Store) Engine() string { return s.e.Name }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(r *reader) error {
		var one int
		return r.row("SELECT 1").Scan(&one)
	})
}

// Writable tells whether the database answers and can be written to: a standby, or a primary that was demoted, only
// answers (ErrUnavailable).
func (s *Store) Writable(ctx context.Context) error {
	return s.readBy(ctx, s.e.ask(), (*reader).writable)
}

func (r *reader) writable() error {
	if r.e.Standby == "" {
		var one int
		return r.row("SELECT 1").Scan(&one)
	}
	var standby int
	if err := r.row(r.e.Standby).Scan(&standby); err != nil {
		return err
	}
	if standby != 0 {
		return fmt.Errorf("store: %w: it can be read only, as a standby can", ErrUnavailable)
	}
	return nil
}

// fail gives an error the kind that callers tell apart.
func (s *Store) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case s.e.Damaged != nil && s.e.Damaged(err):
		return fmt.Errorf("store: %w: %w", ErrDamaged, err)
	case s.e.Unavailable(err):
		return fmt.Errorf("store: %w: %w", ErrUnavailable, err)
	}
	return err
}

// reader is one transaction that sees one state of the database.
type reader struct {
	ctx context.Context
	e   *Engine
	tx  *sql.Tx
}

// read calls do with one state of the database. A database that does not answer in time is
// unavailable: a connection to it would be waited for as long as the caller waits.
func (s *Store) read(ctx context.Context, do func(r *reader) error) error {
	return s.readBy(ctx, s.e.Read, do)
}

// readBy is read by a pool.
func (s *Store) readBy(ctx context.Context, pool *sql.DB, do func(r *reader) error) error {
	if s.e.Answers == 0 {
		return s.readLongBy(ctx, pool, do)
	}
	limited, cancel := context.WithTimeout(ctx, s.e.Answers)
	defer cancel()
	err := s.readLongBy(limited, pool, do)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("store: %w: it gave no answer within %s", ErrUnavailable, s.e.Answers)
	}
	return err
}

// readLong is read for what may take as long as it does.
func (s *Store) readLong(ctx context.Context, do func(r *reader) error) error {
	return s.readLongBy(ctx, s.e.Read, do)
}

func (s *Store) readLongBy(ctx context.Context, pool *sql.DB, do func(r *reader) error) error {
	if s.e.Ready != nil {
		if err := s.e.Ready(); err != nil {
			return s.fail(err)
		}
	}
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: s.e.Snapshot, ReadOnly: true})
	if err != nil {
		return s.fail(err)
	}
	defer tx.Rollback()
	return s.fail(do(&reader{ctx, &s.e, tx}))
}

func (r *reader) query(query string, args ...any) (*sql.Rows, error) {
	r.trace(query, args)
	return r.tx.QueryContext(r.ctx, r.e.rebind(query), args...)
}

func (r *reader) row(query string, args ...any) *sql.Row {
	r.trace(query, args)
	return r.tx.QueryRowContext(r.ctx, r.e.rebind(query), args...)
}

func (r *reader) exec(query string, args ...any) (int64, error) {
	r.trace(query, args)
	result, err := r.tx.ExecContext(r.ctx, r.e.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

type traceKey struct{}

// WithTrace has every statement shown that is executed under the context, with placeholders
// as the database takes them. The arguments hold what users wrote.
func WithTrace(ctx context.Context, show func(query string, args []any)) context.Context {
	return context.WithValue(ctx, traceKey{}, show)
}

func (r *reader) trace(query string, args []any) {
	if show, ok := r.ctx.Value(traceKey{}).(func(string, []any)); ok {
		show(r.e.rebind(query), args)
	}
}

// each calls scan for every row of a query.
func (r *reader) each(scan func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := r.query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// writer is one transaction that changes what is kept of one cluster.
type writer struct {
	reader
	cluster int64
	seq     int64 // the last one given
	at      int64
	high    int64  // the latest time that any change bore
	heard   int64  // when the cluster was heard of before
	pushed  string // the mark of the last push
	changes [][]any
}

// write calls do in a transaction that no other writer of the cluster shares.
func (s *Store) write(ctx context.Context, cluster string, at time.Time, do func(w *writer) error) error {
	return s.change(ctx, func(r *reader) error {
		w := &writer{reader: *r, at: nanos(at)}
		var term int64
		err := r.row("SELECT n, seq, heard_at, high, term, pushed FROM clusters WHERE uid = ?"+s.e.Lock, clean(cluster)).Scan(&w.cluster, &w.seq, &w.heard, &w.high, &term, &w.pushed)
		if err != nil {
			return noCluster(err, cluster)
		}
		if err := s.term.allows(clean(cluster), term); err != nil {
			return err
		}
		if s.claim != "" && w.pushed != s.claim {
			return ErrOvertaken
		}
		before := w.seq
		w.high = max(w.high, w.at)
		if err := do(w); err != nil {
			return err
		}
		if err := w.insert("changes", changeColumns, w.changes, ""); err != nil {
			return err
		}
		if w.seq == before {
			return nil
		}
		_, err = w.exec("UPDATE clusters SET seq = ?, high = ? WHERE n = ?", w.seq, w.high, w.cluster)
		return err
	})
}

// change calls do in a transaction that writes.
func (s *Store) change(ctx context.Context, do func(r *reader) error) error {
	if s.e.Ready != nil {
		if err := s.e.Ready(); err != nil {
			return s.fail(err)
		}
	}
	tx, err := s.e.Write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(err)
	}
	defer tx.Rollback()
	if err := do(&reader{ctx, &s.e, tx}); err != nil {
		return s.fail(err)
	}
	return s.fail(tx.Commit())
}

// next gives the next sequence number.
func (w *writer) next() int64 {
	w.seq++
	return w.seq
}

// rowNumbers is how many sequence numbers of one cluster fit into a row number.
const rowNumbers = 40 // bits

// number gives a row number that no other row of any cluster has.
func (w *writer) number() int64 { return w.cluster<<rowNumbers | w.next() }

// cluster gives the number of a cluster.
func (r *reader) cluster(uid string) (int64, error) {
	var n int64
	err := r.row("SELECT n FROM clusters WHERE uid = ?", clean(uid)).Scan(&n)
	return n, noCluster(err, uid)
}

// nanos is a time as it is kept; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment is the time that nanos kept.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
