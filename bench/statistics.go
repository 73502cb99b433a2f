package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/baileyhq/bailey/store/sqlite"
)

// statisticsFindings are enough for proportions to be those of a large history.
const statisticsFindings = 100_000

// printStatistics prints what SQLite's planner is told of every history (store/sqlite/statistics.txt):
// what ANALYZE says of one with statisticsFindings.
func printStatistics(string) (err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bailey-bench-statistics-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := sqlite.Open(ctx, dir)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	if err := s.PutCluster(ctx, pagesCluster, "bench", now); err != nil {
		return errors.Join(err, s.Close())
	}
	_, err = newPagesData(now).fill(ctx, s, statisticsFindings)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.File))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "ANALYZE"); err != nil {
		return err
	}
	// What holds nothing says nothing of what it is like once it does, and all evidence here is of the
	// cluster as a whole. Tables of the index of words are asked for by their keys alone.
	rows, err := db.QueryContext(ctx, "SELECT tbl, idx, stat FROM sqlite_stat1 WHERE idx IS NOT NULL AND stat NOT LIKE '0 %' AND tbl <> 'evidence' AND tbl NOT LIKE 'finding_words%' ORDER BY tbl, idx")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var table, index, numbers string
		if err := rows.Scan(&table, &index, &numbers); err != nil {
			return err
		}
		fmt.Println(table, index, numbers)
	}
	return rows.Err()
}
