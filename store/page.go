package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store/internal/limits"
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
	Rank     int    `json:"r,omitempty"`
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
	oldest                  bool      // the oldest first
	rank                    string    // a column that rows are sorted by before their numbers, the greatest first
	text                    string    // which a sieve looks for
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

// sieve says what of a listing SQL does not.
type sieve[T any] struct {
	// keep tells which rows are asked for: all of them if nil.
	keep func(*T) bool
	// most is how many rows are looked at for a page, if less than of others: of such as take longer.
	most int
	// rank gives what the listing's column of that name holds of a row that was just read.
	rank func(*T) int
}

// errEnough ends the reading of rows.
var errEnough = errors.New("enough")

// list gives a page of a listing; scan reads a row and its sequence number.
func list[T any](ctx context.Context, s *Store, l listing, scan func(scan func(...any) error) (T, int64, error)) (Page[T], error) {
	return sift(ctx, s, l, scan, sieve[T]{})
}

// sift gives a page of what a sieve lets through of a listing. Where it keeps back most of it, a page
// holds less than its limit, and Next looks on.
func sift[T any](ctx context.Context, s *Store, l listing, scan func(scan func(...any) error) (T, int64, error), by sieve[T]) (Page[T], error) {
	var page Page[T]
	query := fingerprint(l.table, l.cluster, l.where.String(), l.args, l.since, l.oldest, l.text, l.rank)
	after, err := parseCursor(l.after, query)
	if err != nil {
		return page, err
	}
	limit := pageSize(l.limit)
	most := limit
	if by.keep != nil {
		most = limits.Looked
		if by.most > 0 {
			most = min(most, by.most)
		}
	}
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(l.cluster)
		if err != nil {
			return err
		}
		where, args := l.where.String(), append([]any{n}, l.args...)
		order, beyond := "seq DESC", "seq < ?"
		if l.oldest {
			order, beyond = "seq", "seq > ?"
		}
		switch {
		case after != nil && l.rank != "":
			where, args = where+" AND "+l.rank+" <= ? AND ("+l.rank+" < ? OR "+beyond+")", append(args, after.Rank, after.Rank, after.Seq)
		case after != nil:
			where, args = where+" AND "+beyond, append(args, after.Seq)
		}
		if l.rank != "" {
			order = l.rank + " DESC, " + order
		}
		if !l.since.IsZero() {
			seq, err := r.seqAt(n, l.since)
			if err != nil {
				return err
			}
			where += " AND seq >= ? AND at >= ?"
			args = append(args, seq, nanos(l.since))
		}
		last, looked := cursor{Query: query}, 0
		err = r.each(func(rows *sql.Rows) error {
			if looked++; looked > most {
				page.Next = last.String()
				return errEnough
			}
			item, seq, err := scan(rows.Scan)
			if err != nil {
				return err
			}
			kept := by.keep == nil || by.keep(&item)
			if kept && len(page.Items) == limit {
				page.Next = last.String()
				return errEnough
			}
			if kept {
				page.Items = append(page.Items, item)
			}
			last.Seq = seq
			if l.rank != "" {
				last.Rank = by.rank(&item)
			}
			return nil
		}, "SELECT "+l.columns+" FROM "+l.table+" WHERE cluster = ?"+where+" ORDER BY "+order+" LIMIT ?", append(args, most+1)...)
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	})
	return page, err
}

// saying takes what bears a text; nil takes all.
func saying[T any](text string, texts func(*T) []string) func(*T) bool {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return func(item *T) bool { return Bears(text, texts(item)...) }
}

// Bears reports whether each word is somewhere in the texts, in any case: what lists are narrowed by
// where no index of words is.
func Bears(words string, texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, "\n"))
	return !slices.ContainsFunc(strings.Fields(strings.ToLower(words)), func(w string) bool { return !strings.Contains(all, w) })
}

// whole limits a listing of what belongs to the cluster to who sees everything.
func (l *listing) whole(access Access) {
	if !access.all {
		l.where.WriteString(" AND 1 = 0")
	}
}
