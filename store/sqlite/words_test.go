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
				Message: fmt.Sprintf("container c%x of image registry.example.com/i%x runs as root", i*7919, i*104729)})
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
	parts := func() (n int) {
		db, err := sql.Open("sqlite", dsn(filepath.Join(dir, File), ""))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
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
	err := s.Tidy(ctx)
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
	page, err := s.Findings(ctx, store.FindingQuery{Cluster: "c", Access: store.Everything(), Text: "root", Limit: 1})
	if err != nil || page.Total != all-len(gone)+20 && !page.More {
		t.Errorf("%d are found by a word, want %d: %v", page.Total, all-len(gone)+20, err)
	}
	if err := s.Check(ctx, "c"); err != nil {
		t.Error(err)
	}
}
