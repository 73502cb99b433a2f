package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestTidy: the index of words is one part after it, though others write between its steps; and with
// nothing changed since there is nothing to do.
func TestTidy(t *testing.T) {
	defer func(pages int) { mergePages = pages }(mergePages)
	mergePages = 16
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir)
	begin := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	if err := s.PutCluster(ctx, "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	object := func(i int) bailey.Ref {
		return bailey.Ref{Kind: bailey.KindPod, Namespace: fmt.Sprint("ns", i%50), Name: fmt.Sprint("pod", i)}
	}
	findings := func(from, to int) (list []bailey.Finding) {
		for i := from; i < to; i++ {
			list = append(list, bailey.Finding{ID: fmt.Sprint("f", i), Control: "area/control", Rule: "area/control/rule", Object: object(i), Severity: bailey.SeverityHigh,
				Message: fmt.Sprintf("container c%08x of image registry.example.com/i%x runs as root", i*7919, i*104729)})
		}
		return list
	}
	const all = 6000
	for i := 0; i < all; i += 1000 {
		if err := s.Apply(ctx, "c", begin, store.Delta{Findings: findings(i, i+1000)}); err != nil {
			t.Fatal(err)
		}
	}
	var gone []bailey.Ref
	for i := 0; i < all; i += 30 {
		gone = append(gone, object(i))
	}
	if err := s.Apply(ctx, "c", begin.Add(time.Minute), store.Delta{Gone: gone}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	parts := func() (n int) {
		if err := db.QueryRow("SELECT count(DISTINCT id >> 37) FROM finding_words_data WHERE id > 10").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := parts(); n < 2 {
		t.Fatalf("%d parts before it: it has nothing to do", n)
	}
	// Others write meanwhile.
	var beside sync.WaitGroup
	beside.Go(func() {
		for i := all; i < all+20; i++ {
			if err := s.Apply(ctx, "c", begin.Add(time.Hour), store.Delta{Findings: findings(i, i+1)}); err != nil {
				t.Error(err)
			}
		}
	})
	err = s.Tidy(ctx)
	beside.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for again := range 2 {
		if err := s.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		if n := parts(); n != 1 {
			t.Errorf("%d: %d parts", again, n)
		}
	}
	// Of one that is there, one that went, and one that came meanwhile.
	for i, want := range map[int]int{1: 1, 30: 0, all + 7: 1} {
		page, err := s.Findings(ctx, store.FindingQuery{Cluster: "c", Access: store.Everything(), Text: fmt.Sprintf("c%08x", i*7919)})
		if err != nil || page.Total != want {
			t.Errorf("%d are found by the word of finding %d, want %d: %v", page.Total, i, want, err)
		}
	}
	if err := s.Check(ctx, "c"); err != nil {
		t.Error(err)
	}

	// With one large part and one small one it comes to its end, though others add more small ones after each of its steps.
	add := func(i int) {
		if err := s.Apply(ctx, "c", begin.Add(2*time.Hour), store.Delta{Findings: findings(i, i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	next := all + 100
	add(next)
	steps := 0
	for more := true; more; steps++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if more, err = mergeWords(ctx, tx, steps == 0); err == nil {
			err = tx.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if steps < 6 {
				next++
				add(next)
			}
		}
	}
	if n := parts(); n > 3 || steps < 8 {
		t.Errorf("%d parts after %d steps", n, steps)
	}
}
