package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"slices"
	"strings"
)

// statistics are what ANALYZE says of a hundred thousand findings: table, index and numbers of each index
// (https://www.sqlite.org/fileformat2.html#stat1tab). Every file has these in the place of its own:
// the plans of a file that was measured while it held little read all of it once it holds much,
// and connections that are open do not notice a new measurement. `go run ./bench statistics`
// prints them.
//
//go:embed statistics.txt
var statistics string

// fixStatistics has the planner go by the statistics above.
func (f *file) fixStatistics(ctx context.Context) error {
	want := slices.Sorted(strings.Lines(statistics))
	have, err := f.statistics(ctx)
	if err != nil || slices.Equal(have, want) {
		return err
	}
	tx, err := f.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// ANALYZE is what makes the table, here of a table that is small.
	if _, err := tx.ExecContext(ctx, "ANALYZE clusters; DELETE FROM sqlite_stat1"); err != nil {
		return err
	}
	for _, line := range want {
		table, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		index, numbers, _ := strings.Cut(rest, " ")
		if _, err := tx.ExecContext(ctx, "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", table, index, numbers); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = f.write.ExecContext(ctx, "ANALYZE sqlite_schema") // has the connection read them
	return err
}

// statistics gives what the file's planner goes by, sorted lines as above; none where there is nothing.
func (f *file) statistics(ctx context.Context) (lines []string, err error) {
	var is int
	if err := f.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'").Scan(&is); err != nil || is == 0 {
		return nil, err
	}
	rows, err := f.write.QueryContext(ctx, "SELECT tbl, idx, stat FROM sqlite_stat1")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var table, index, numbers sql.NullString
		if err := rows.Scan(&table, &index, &numbers); err != nil {
			return nil, err
		}
		lines = append(lines, table.String+" "+index.String+" "+numbers.String+"\n")
	}
	slices.Sort(lines)
	return lines, rows.Err()
}
