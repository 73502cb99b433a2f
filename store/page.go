package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Next is the cursor with which the query goes on; empty at the end.
	Next string
}

const (
	defaultPage = 50
	largestPage = 1000
	cursorBytes = 4096
)

// pageSize is how many rows a page holds.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, largestPage)
}

// cursor is where a page ended.
type cursor struct {
	// Query tells the queries apart that a cursor does not fit.
	Query    uint32 `json:"q"`
	Seq      int64  `json:"s,omitempty"`
	Severity int    `json:"v,omitempty"`
	Object   string `json:"o,omitempty"`
	Kind     string `json:"k,omitempty"`
	Name     string `json:"n,omitempty"`
	ID       string `json:"i,omitempty"`
	Control  string `json:"c,omitempty"`
	Scope    string `json:"p,omitempty"`
}

func (c cursor) String() string {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // it can be marshalled
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// parseCursor reads a cursor of the query with this number; nil for the first page.
func parseCursor(text string, query uint32) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > cursorBytes {
		return nil, ErrCursor
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrCursor
	}
	var c cursor
	if json.Unmarshal(data, &c) != nil || c.Query != query {
		return nil, ErrCursor
	}
	for _, s := range []*string{&c.Object, &c.Kind, &c.Name, &c.ID, &c.Control, &c.Scope} {
		*s = clean(*s)
	}
	return &c, nil
}

// fingerprint gives a number for what a query asks.
func fingerprint(parts ...any) uint32 {
	h := fnv.New32a()
	data, err := json.Marshal(parts)
	if err != nil {
		panic(err) // plain data
	}
	h.Write(data)
	return h.Sum32()
}

// listing is a query for rows of one table, the newest first by their sequence numbers.
type listing struct {
	columns, table, cluster string
	where                   strings.Builder
	args                    []any
	limit                   int
	after                   string
	since                   time.Time // by the column "at"; zero for no limit
}

func (l *listing) within(access Access, namespaces []string) {
	condition, args := access.limit("namespace", namespaces)
	l.where.WriteString(condition)
	l.args = append(l.args, args...)
}

func (l *listing) equal(column, value string) {
	if value != "" {
		l.where.WriteString(" AND " + column + " = ?")
		l.args = append(l.args, clean(value))
	}
}

func (l *listing) object(o *bailey.Ref) {
	if o != nil {
		k := keyOf(*o)
		l.where.WriteString(" AND namespace = ? AND kind = ? AND name = ?")
		l.args = append(l.args, k.namespace, k.kind, k.name)
	}
}

// list gives a page of a listing; scan reads a row and its sequence number.
func list[T any](ctx context.Context, s *Store, l listing, scan func(scan func(...any) error) (T, int64, error)) (Page[T], error) {
	var page Page[T]
	query := fingerprint(l.table, l.cluster, l.where.String(), l.args, l.since)
	after, err := parseCursor(l.after, query)
	if err != nil {
		return page, err
	}
	limit := pageSize(l.limit)
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(l.cluster)
		if err != nil {
			return err
		}
		where, args := l.where.String(), append([]any{n}, l.args...)
		if after != nil {
			where += " AND seq < ?"
			args = append(args, after.Seq)
		}
		if !l.since.IsZero() {
			seq, err := r.seqAt(n, l.since)
			if err != nil {
				return err
			}
			where += " AND seq >= ? AND at >= ?"
			args = append(args, seq, nanos(l.since))
		}
		var last int64
		return r.each(func(rows *sql.Rows) error {
			if len(page.Items) == limit {
				page.Next = cursor{Query: query, Seq: last}.String()
				return nil
			}
			item, seq, err := scan(rows.Scan)
			page.Items, last = append(page.Items, item), seq
			return err
		}, "SELECT "+l.columns+" FROM "+l.table+" WHERE cluster = ?"+where+" ORDER BY seq DESC LIMIT ?", append(args, limit+1)...)
	})
	return page, err
}

// whole limits a listing of what belongs to the cluster to who sees everything.
func (l *listing) whole(access Access) {
	if !access.all {
		l.where.WriteString(" AND 1 = 0")
	}
}
