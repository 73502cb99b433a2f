package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
	"github.com/baileyhq/bailey/store/sqlite"
	"github.com/baileyhq/bailey/web"
)

const (
	pagesCluster = "bench"
	pagesRounds  = 40
	// pagesEnough is how long one page is asked for at most.
	pagesEnough = 4 * time.Second
	// pagesDeep is how many findings lie before a deep page.
	pagesDeep = 5000
)

// benchPages asks the server's handler for every page and list over ever more findings kept in
// SQLite. Budget over 1,000,000: 100 ms, and 300 kB for the first view. It fails, at the end, where one is exceeded.
func benchPages(string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-pages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		return err
	}
	return errors.Join(measurePages(s, nil), s.Close())
}

// benchPagesPostgres does the same over a PostgreSQL server of its own.
func benchPagesPostgres(string) error {
	ctx := context.Background()
	own, err := postgrestest.Start(ctx, "synchronous_commit=off") // only reading is measured
	if errors.Is(err, postgrestest.ErrMissing) {
		fmt.Println("  left out:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer own.Stop()
	url, err := own.Database(ctx)
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(measurePages(s, db), s.Close(), db.Close())
}

// used is the processor time that answering has taken: of this process, and of the PostgreSQL server's that
// answer it, if there is one. Its connections stay open meanwhile.
func used(db *sql.DB) (time.Duration, error) {
	all := cpuTime()
	if db == nil {
		return all, nil
	}
	rows, err := db.Query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			return 0, err
		}
		one, err := processorTime(pid)
		if err != nil {
			return 0, err
		}
		all += one
	}
	return all, rows.Err()
}

// measurePages asks for pages of a store; db, if not nil, is a connection to the PostgreSQL database that it is in.
func measurePages(s *store.Store, db *sql.DB) error {
	ctx := context.Background()
	now := time.Now().UTC()
	if err := s.PutCluster(ctx, pagesCluster, "bench", now); err != nil {
		return err
	}
	data := newPagesData(now)
	if err := data.history(ctx, s); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bailey-bench-ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	book, err := pagesLedger(ctx, filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	defer book.Close()
	handler := pagesHandler(s, book, now)
	var b budgets
	for n := 10_000; n <= *storeFindings; n *= 10 {
		took, err := data.fill(ctx, s, n)
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := s.Tidy(ctx); err != nil { // as a server does each day
			return err
		}
		fmt.Printf("  %d findings, kept in %s, tidied in %s\n", n, took.Round(time.Second/10), time.Since(begun).Round(time.Second/10))
		questions, err := pagesQuestions(handler, now, data, n)
		if err != nil {
			return err
		}
		if err := askAll(questions, db, n, &b); err != nil {
			return err
		}
	}
	if err := data.fleet(ctx, s); err != nil {
		return err
	}
	if err := askAll(fleetQuestions(handler, data, *storeFindings), db, *storeFindings+pagesClusters*pagesSpoke, &b); err != nil {
		return err
	}
	return b.err()
}

// somebody sees everything, or the namespaces that his name stands for.
type somebody struct{ server.LocalRights }

func (somebody) Sees(_ context.Context, who server.Who, _ []string) (server.Namespaces, error) {
	if who.Local {
		return server.Namespaces{All: true}, nil
	}
	return server.Namespaces{Names: []string{"team-003", "team-011", "team-017"}}, nil
}

// Whose takes the tokens "admin" and "tenant".
func (somebody) Whose(_ context.Context, token string) (server.Who, error) {
	return server.Who{Name: token, Local: token == "admin"}, nil
}

var pagesLog = slog.New(slog.DiscardHandler)

// pagesHandler is what bailey serve answers with, over a store and a ledger that are full; of the ledger nil, if none is kept.
func pagesHandler(s *store.Store, book *server.Book, now time.Time) http.Handler {
	log := pagesLog
	clock := func() time.Time { return now }
	desk := server.NewDesk(server.DeskOptions{Store: s, Controls: controls.All(), Own: func() string { return pagesCluster },
		Sight: func() server.Sight { return server.Sight{Ready: true, Changed: now} }, Namespaces: func() []string { return nil },
		Configured: func() []bailey.Waiver { return nil }, Valid: func(bailey.Waiver) error { return nil }, Changed: func(context.Context) {}, Log: log, Now: clock})
	front := &server.Front{Sessions: &server.Sessions{Now: time.Now}, Tokens: somebody{}, Log: log, Now: time.Now}
	loop, news := server.NewLoop(server.LoopOptions{}, server.NewNews()), server.NewNews()
	api := &server.API{Version: "bench", Desk: desk, Rights: somebody{}, News: news, Log: log}
	o := web.Options{Desk: desk, Controls: controls.All(), Rights: somebody{}, Front: front, Version: "bench", Log: log, Now: clock,
		Ask: func(ctx context.Context, cluster string) (server.Ask, error) {
			return server.AskOf(ctx, desk, somebody{}, cluster)
		}}
	if book != nil {
		o.Ledger, api.Book = book.Page, book
	}
	h := &server.HTTP{Front: front, API: api.Handler(), Pages: web.New(o), Metrics: server.NewMetrics("bench", loop), Loop: loop, Ready: s.Ping, Log: log}
	return h.Handler(true)
}

// visitor asks as somebody.
type visitor struct {
	handler http.Handler
	token   string
	asked   int
}

// get asks for a page and gives how long the whole took, and what it was.
func (v *visitor) get(path string) (time.Duration, []byte, error) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	v.asked++ // of one address few questions a second are answered
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", v.asked>>16&255, v.asked>>8&255, v.asked&255)
	r.Header.Set("Authorization", "Bearer "+v.token)
	w := httptest.NewRecorder()
	begun := time.Now()
	v.handler.ServeHTTP(w, r)
	took := time.Since(begun)
	if w.Code != http.StatusOK {
		return took, nil, fmt.Errorf("%s: %d: %.300s", path, w.Code, w.Body)
	}
	return took, w.Body.Bytes(), nil
}

// firstByte asks for a page until its first bytes come.
func (v *visitor) firstByte(path string) (time.Duration, []byte, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	v.asked++
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", v.asked>>16&255, v.asked>>8&255, v.asked&255)
	r.Header.Set("Authorization", "Bearer "+v.token)
	w := &first{header: http.Header{}, begun: time.Now(), end: cancel}
	v.handler.ServeHTTP(w, r)
	if len(w.data) == 0 {
		return 0, nil, fmt.Errorf("%s: no answer", path)
	}
	return w.took, w.data, nil
}

// first takes the first bytes of an answer.
type first struct {
	header http.Header
	begun  time.Time
	end    func()
	took   time.Duration
	data   []byte
}

func (f *first) Header() http.Header { return f.header }
func (f *first) WriteHeader(int)     {}
func (f *first) Write(p []byte) (int, error) {
	if f.data == nil {
		f.took, f.data = time.Since(f.begun), slices.Clone(p)
		f.end()
	}
	return 0, errors.New("enough")
}

// deep gives the path of a page that lies behind many findings.
func (v *visitor) deep(page, list string) (string, error) {
	cursor := ""
	for range pagesDeep / 1000 {
		_, body, err := v.get(list + "&limit=1000&cursor=" + cursor)
		if err != nil {
			return "", err
		}
		var answer server.FindingPage
		if err := json.Unmarshal(body, &answer); err != nil {
			return "", err
		}
		if answer.Next == "" {
			break
		}
		cursor = answer.Next
	}
	return page + "&cursor=" + cursor, nil
}

var asset = regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`)

// firstView gives the overview with all that it loads.
func (v *visitor) firstView() (time.Duration, []byte, error) {
	took, body, err := v.get("/")
	all := slices.Clone(body)
	for _, m := range asset.FindAllSubmatch(body, -1) {
		if err != nil {
			break
		}
		var part []byte
		var more time.Duration
		more, part, err = v.get(string(m[1]))
		took, all = took+more, append(all, part...)
	}
	return took, all, err
}
