package sqlite

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
	"github.com/baileyhq/bailey/store/storetest"
)

// TestStatistics: the planner's statistics name every index of what grows, and a file that had others
// goes by them once it is opened.
func TestStatistics(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	storetest.Fill(t, s)
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lines := func(query string) (all []string) {
		t.Helper()
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			all = append(all, line)
		}
		return all
	}
	const stated = "SELECT tbl || ' ' || idx || ' ' || stat || char(10) FROM sqlite_stat1 WHERE idx NOT NULL"
	for _, index := range lines("SELECT tbl_name || ' ' || name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL AND tbl_name IN ('findings', 'finding_groups', 'verdicts', 'rungs', 'rung_changes', 'changes', 'workloads')") {
		if index != "findings findings_cause" && !strings.Contains(statistics, index+" ") { // no cause is in what was measured
			t.Errorf("%s has no statistics: go run ./bench statistics > store/sqlite/statistics.txt", index)
		}
	}
	want := slices.Sorted(strings.Lines(statistics))
	if have := slices.Sorted(slices.Values(lines(stated))); !slices.Equal(have, want) {
		t.Errorf("a new file goes by\n%s", have)
	}
	if _, err := db.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	if have := slices.Sorted(slices.Values(lines(stated))); slices.Equal(have, want) {
		t.Fatal("the file was not analyzed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	analyzed := lines(stated)
	if s, err = Open(store.AsItIs(t.Context()), dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if have := lines(stated); !slices.Equal(have, analyzed) {
		t.Errorf("whoever only backs it up writes\n%s", have)
	}
	open(t, dir)
	if have := slices.Sorted(slices.Values(lines(stated))); !slices.Equal(have, want) {
		t.Errorf("a file that was analyzed goes by\n%s", have)
	}
}

// TestStatisticsAsItIs: a file of another version is backed up as it is.
func TestStatisticsAsItIs(t *testing.T) {
	limits.Newest = 3
	t.Cleanup(func() { limits.Newest = 0 })
	dir := t.TempDir()
	storetest.Fill(t, open(t, dir))
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	stated := func() (all string) {
		t.Helper()
		if err := db.QueryRow("SELECT group_concat(tbl || idx || stat) FROM sqlite_stat1").Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := stated()
	limits.Newest = 0
	s, err := Open(store.AsItIs(t.Context()), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if after := stated(); after != before {
		t.Errorf("it goes by\n%s\nand went by\n%s", after, before)
	}
}

// TestAcceptedIndex: findings that waivers take in are not looked for among all that the baseline accepts.
func TestAcceptedIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.PutCluster(t.Context(), "c", "c", time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	var asked string
	var with []any
	if _, _, err := s.Accepted(store.WithTrace(t.Context(), func(query string, args []any) { asked, with = query, args }), store.Everything(), "c"); err != nil {
		t.Fatal(err)
	}
	if plan := planOf(t, dir, asked, with); !strings.Contains(plan, "findings_by_waiver") {
		t.Errorf("%s\n%s", plan, asked)
	}
}

// TestEvidenceRunsIndex: what runs showed is added up from an index alone, for who sees some namespaces too, as rows of
// evidence are large.
func TestEvidenceRunsIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.PutCluster(t.Context(), "c", "c", time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	for _, access := range []store.Access{store.Everything(), store.Only("shop", "bank")} {
		var asked string
		var with []any
		ctx := store.WithTrace(t.Context(), func(query string, args []any) { asked, with = query, args })
		if _, _, err := s.EvidenceRuns(ctx, access, "c", store.ExperimentName{Control: "a/b", Experiment: "x"}, 40); err != nil {
			t.Fatal(err)
		}
		if plan := planOf(t, dir, asked, with); !strings.Contains(plan, "COVERING INDEX evidence_of_runs (cluster=? AND control=? AND experiment=? AND seq>?") {
			t.Errorf("%s\n%s", plan, asked)
		}
		if _, err := s.NewestRuns(ctx, access, "c", []store.ExperimentName{{Control: "a/b", Experiment: "x"}}); err != nil {
			t.Fatal(err)
		}
		for step := range strings.Lines(planOf(t, dir, asked, with)) {
			if strings.HasPrefix(step, "SEARCH e ") && !strings.Contains(step, "COVERING INDEX evidence_of_runs (cluster=? AND control=? AND experiment=?") || strings.HasPrefix(step, "SCAN e") {
				t.Errorf("%s\n%s", step, asked)
			}
		}
	}
}

// planOf says how the file in a folder would answer a query, a line for each step.
func planOf(t *testing.T, dir, query string, args []any) string {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(step + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
