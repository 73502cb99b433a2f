package store

import (
	"cmp"
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// Engine is what differs between databases. Everything else is the same SQL.
type Engine struct {
	// Name is the part of the names of those migrations that only it has.
	Name string
	// Write and Read are pools of connections; they may be one.
	Write, Read *sql.DB
	// Ask is the pool by which whoever writes asks whether the database answers and the term lasts, which must not
	// wait for pages to be read; Read if nil.
	Ask *sql.DB
	// Int, Text and RowID are types of columns: a signed integer of 64 bits, a text that
	// is compared byte by byte, and the primary key by which a full-text index finds rows.
	Int, Text, RowID string
	// Numbered tells that placeholders are $1, $2 in the place of question marks.
	Numbered bool
	// Lock is what a SELECT says at its end to lock the row; empty where only one writes.
	Lock string
	// Snapshot is the isolation level in which a transaction reads one state.
	Snapshot sql.IsolationLevel
	// Hits are the findings, f, that hold the words of its first argument, at most its second argument of them. Term
	// writes a word in that argument, or the beginning of words, And and Or what stands between them, and Not
	// what stands before those that are not to be there.
	Hits         string
	Term         func(word string, begins bool) string
	And, Or, Not string
	// Vocabulary is a query for the first word of any finding from its argument on; empty where the
	// beginning of many words is found as fast as the words.
	Vocabulary string
	// Standby is a query that gives 1 where nothing can be written, as on a primary that was demoted; empty
	// where that cannot be.
	Standby string
	// Ready tells before each transaction whether the database is still there; may be nil.
	Ready func() error
	// Answers is how long what is read may take, or the database is unavailable; zero: for ever.
	Answers time.Duration
	// Unavailable and Damaged tell what an error means; Damaged may be nil.
	Unavailable, Damaged func(error) bool
	// Backup writes everything to a new file; nil where the portable format has to do.
	Backup func(ctx context.Context, path string) error
	// Merge is a step of merging the parts of the index of words, of which first begins anew; more tells that there is more to do. Nil
	// where the database merges them by itself.
	Merge func(ctx context.Context, tx *sql.Tx, first bool) (more bool, err error)
	// Analyze is what brings the planner's statistics up to date; empty where they are fixed.
	Analyze string
}

func (e *Engine) ask() *sql.DB {
	return cmp.Or(e.Ask, e.Read)
}

// rebind writes placeholders as the engine wants them. No query holds a question mark
// otherwise.
func (e *Engine) rebind(query string) string {
	if !e.Numbered {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 32)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// ddl writes the types of columns as the engine has them.
func (e *Engine) ddl(text string) string {
	return strings.NewReplacer("{int}", e.Int, "{text}", e.Text, "{rowid}", e.RowID).Replace(text)
}

// insertRows is how many rows one INSERT writes at most.
const insertRows = 100

// insert writes rows, some at a time; conflict is what follows VALUES.
func (r *reader) insert(table string, columns []string, rows [][]any, conflict string) error {
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES "
	for len(rows) > 0 {
		some := rows[:min(insertRows, len(rows))]
		rows = rows[len(some):]
		args := make([]any, 0, len(some)*len(columns))
		for _, row := range some {
			args = append(args, row...)
		}
		if _, err := r.exec(head+tuples(len(some), len(columns))+" "+conflict, args...); err != nil {
			return err
		}
	}
	return nil
}

// tuples gives "(?,?),(?,?)".
func tuples(rows, columns int) string {
	one := "(" + marks(columns) + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", rows), ",")
}

// marks gives "?,?".
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// replace gives "a = excluded.a, b = excluded.b".
func replace(columns []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c + " = excluded." + c
	}
	return strings.Join(parts, ", ")
}

// anys makes arguments of strings.
func anys[T ~string](list []T) []any {
	args := make([]any, len(list))
	for i, s := range list {
		args[i] = string(s)
	}
	return args
}
