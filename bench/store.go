package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/sqlite"
)

// storeFindings bounds how far the store is filled.
var storeFindings = flag.Int("findings", 1_000_000, "the most findings that the store is filled with")

const (
	storeCluster = "bench"
	storeRounds  = 20
	// storeObject is how many findings an object of the generated cluster has.
	storeObject = 5
)

// benchSQLite measures what a delta costs and how fast pages are, over ever more
// findings, beside inserting and reading the same rows and nothing else.
func benchSQLite(string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(dir, "sqlite"))
	if err != nil {
		return err
	}
	plain, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "plain.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	if err != nil {
		return err
	}
	plain.SetMaxOpenConns(1)
	err = measureStore(ctx, s, plain, "?", func() int64 { return folderSize(filepath.Join(dir, "sqlite")) })
	return errors.Join(err, s.Close(), plain.Close())
}

// benchPostgres does the same in a PostgreSQL server of its own, over a Unix socket.
func benchPostgres(string) error {
	ctx := context.Background()
	server, err := postgrestest.Start(ctx)
	if errors.Is(err, postgrestest.ErrMissing) {
		fmt.Println("  left out:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer server.Stop()
	url, err := server.Database(ctx)
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	plain, err := sql.Open("pgx", server.URL("postgres"))
	if err != nil {
		return err
	}
	size, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	err = measureStore(ctx, s, plain, "$", func() int64 {
		var n int64
		if err := size.QueryRow("SELECT pg_database_size(current_database())").Scan(&n); err != nil {
			return 0
		}
		return n
	})
	return errors.Join(err, s.Close(), plain.Close(), size.Close())
}

func folderSize(dir string) int64 {
	var size int64
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// benchFindings gives the findings of generated objects, from and up to a number of findings.
func benchFindings(from, to int) []bailey.Finding {
	var list []bailey.Finding
	for i := from; i < to; i++ {
		object := i / storeObject
		o := bailey.Ref{Kind: bailey.PodBearing[object%4], Namespace: fmt.Sprintf("team-%03d", object%300), Name: fmt.Sprintf("service-%d-api", object)}
		// 150 rules of 30 controls, the severity a rule's own.
		rule := (i%storeObject)*30 + object%30
		control := fmt.Sprintf("area/control-%d", rule%30)
		f := bailey.Finding{Control: control, Rule: fmt.Sprintf("%s/rule-%d", control, rule), Severity: bailey.Severity(1 + rule%5), Object: o, APIVersion: "apps/v1",
			Field: "spec.template.spec.containers[0].securityContext", Named: "spec.template.spec.containers[web].securityContext",
			Message: fmt.Sprintf("container web of registry.example/team/service-%d:1.2.3 may become root and write to its file system", object),
			Related: []bailey.Ref{{Kind: bailey.KindPod, Namespace: o.Namespace, Name: o.Name + "-0"}}}
		f.ID = bailey.FindingID(f.Rule, o, f.Named)
		if i%100 == 0 {
			f.Waiver = &bailey.Waiver{Rule: f.Rule, Reason: "legacy", Owner: "team", Expires: time.Unix(2e9, 0)}
		}
		list = append(list, f)
	}
	return list
}

func measureStore(ctx context.Context, s *store.Store, plain *sql.DB, mark string, size func() int64) error {
	if err := s.PutCluster(ctx, storeCluster, "bench", time.Now()); err != nil {
		return err
	}
	if _, err := plain.ExecContext(ctx, "CREATE TABLE plain (n bigint PRIMARY KEY, id text, namespace text, kind text, name text, doc text)"); err != nil {
		return err
	}
	fmt.Printf("  %9s %12s %12s %6s %9s %9s\n", "findings", "apply 1,000", "plain 1,000", "ratio", "bytes", "again")
	var latencies []string
	have := 0
	for n := 10_000; n <= *storeFindings; n *= 10 {
		var applied, inserted []time.Duration
		for have < n {
			some := benchFindings(have, have+1000)
			start := time.Now()
			if err := s.Apply(ctx, storeCluster, start, store.Delta{Findings: some}); err != nil {
				return err
			}
			applied = append(applied, time.Since(start))
			start = time.Now()
			if err := insertPlain(ctx, plain, mark, have, some); err != nil {
				return err
			}
			inserted = append(inserted, time.Since(start))
			have += 1000
		}
		// The last 1,000 once more: nothing changes.
		start := time.Now()
		if err := s.Apply(ctx, storeCluster, start, store.Delta{Findings: benchFindings(have-1000, have)}); err != nil {
			return err
		}
		again := time.Since(start)
		// Of the last, so that growth shows.
		a, i := median(applied[max(0, len(applied)-90):]), median(inserted[max(0, len(inserted)-90):])
		fmt.Printf("  %9d %12s %12s %6.1f %9d %9s\n", n, ms(a), ms(i), float64(a)/float64(i), size()/int64(have), ms(again))
		line, err := storeLatencies(ctx, s, plain, mark, n)
		if err != nil {
			return err
		}
		latencies = append(latencies, line...)
	}
	fmt.Printf("  %-46s %9s %9s %9s\n", "", "findings", "median", "worst")
	for _, line := range latencies {
		fmt.Println(line)
	}
	return s.Check(ctx, storeCluster)
}

func insertPlain(ctx context.Context, db *sql.DB, mark string, first int, list []bailey.Finding) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for some := range slices.Chunk(list, 100) {
		query, args := "INSERT INTO plain VALUES ", []any{}
		for i, f := range some {
			if i > 0 {
				query += ","
			}
			query += "("
			for c, value := range []any{first + i, f.ID, f.Object.Namespace, string(f.Object.Kind), f.Object.Name, f.Message + f.Field + f.Named} {
				if c > 0 {
					query += ","
				}
				args = append(args, value)
				if query += mark; mark == "$" {
					query += fmt.Sprint(len(args))
				}
			}
			query += ")"
		}
		first += len(some)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// storeLatencies measures pages, as an administrator and a tenant ask for them.
func storeLatencies(ctx context.Context, s *store.Store, plain *sql.DB, mark string, n int) ([]string, error) {
	all := store.Everything()
	tenant := store.Only("team-003", "team-017", "team-250")
	waived := true
	queries := []struct {
		what string
		q    store.FindingQuery
	}{
		{"first page, by severity", store.FindingQuery{Access: all}},
		{"newest", store.FindingQuery{Access: all, Sort: store.ByNewest}},
		{"by object", store.FindingQuery{Access: all, Sort: store.ByObject}},
		{"one control", store.FindingQuery{Access: all, Controls: []string{"area/control-7"}}},
		{"one rule, by object", store.FindingQuery{Access: all, Rules: []string{"area/control-7/rule-37"}, Sort: store.ByObject}},
		{"one namespace and control", store.FindingQuery{Access: all, Namespaces: []string{"team-007"}, Controls: []string{"area/control-7"}}},
		{"one kind, high or worse, newest", store.FindingQuery{Access: all, Kinds: []bailey.Kind{bailey.KindPod}, Severity: bailey.SeverityHigh, Sort: store.ByNewest}},
		{"waived", store.FindingQuery{Access: all, Waived: &waived}},
		{"since the last 500", store.FindingQuery{Access: all}},
		{"a name", store.FindingQuery{Access: all, Name: "service-1234-api"}},
		{"a rare word", store.FindingQuery{Access: all, Text: "service 1234"}},
		{"a word of all", store.FindingQuery{Access: all, Text: "root"}},
		{"tenant, by severity", store.FindingQuery{Access: tenant}},
		{"tenant, by object, high or worse", store.FindingQuery{Access: tenant, Sort: store.ByObject, Severity: bailey.SeverityHigh}},
		{"tenant, a word of all", store.FindingQuery{Access: tenant, Text: "root"}},
	}
	var lines []string
	add := func(what string, run func() error) error {
		var took []time.Duration
		for range storeRounds {
			start := time.Now()
			if err := run(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			took = append(took, time.Since(start))
		}
		lines = append(lines, fmt.Sprintf("  %-46s %9d %9s %9s", what, n, ms(median(took)), ms(slices.Max(took))))
		return nil
	}
	query := "SELECT id, namespace, kind, name, doc FROM plain WHERE n >= " + mark
	if mark == "$" {
		query += "1"
	}
	if err := add("limit: 50 plain rows by primary key", func() error {
		rows, err := plain.QueryContext(ctx, query+" ORDER BY n LIMIT 50", n/2)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text [5]string
			if err := rows.Scan(&text[0], &text[1], &text[2], &text[3], &text[4]); err != nil {
				return err
			}
		}
		return rows.Err()
	}); err != nil {
		return nil, err
	}
	for _, x := range queries {
		x.q.Cluster = storeCluster
		if x.what == "since the last 500" {
			page, err := s.Findings(ctx, store.FindingQuery{Cluster: storeCluster, Access: all, Sort: store.ByNewest, Limit: 500})
			if err != nil {
				return nil, err
			}
			x.q.Since = page.Items[len(page.Items)-1].Opened
		}
		q := x.q
		if err := add(x.what, func() error {
			page, err := s.Findings(ctx, q)
			if err == nil && page.Next != "" && q.After == "" {
				q.After = page.Next // the second page and the first in turn
			} else {
				q.After = ""
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	for what, run := range map[string]func() error{
		"search": func() error {
			_, err := s.Search(ctx, all, storeCluster, "service-77", 10)
			return err
		},
		"an object": func() error {
			_, err := s.Object(ctx, all, storeCluster, benchFindings(n/2, n/2+1)[0].Object)
			return err
		},
		"what changed, of all": func() error {
			_, err := s.Since(ctx, all, storeCluster, time.Unix(0, 0))
			return err
		},
	} {
		if err := add(what, run); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
