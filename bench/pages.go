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
	"net/url"
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
// SQLite. Budget over 1,000,000: 100 ms, and 300 kB for the first view.
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
		if err := askAll(questions, db, n); err != nil {
			return err
		}
	}
	if err := data.fleet(ctx, s); err != nil {
		return err
	}
	return askAll(fleetQuestions(handler, data, *storeFindings), db, *storeFindings+pagesClusters*pagesSpoke)
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

// question is one page that is asked for over and over.
type question struct {
	what string
	get  func() (time.Duration, []byte, error)
}

func askAll(questions []question, db *sql.DB, n int) error {
	fmt.Printf("  %-44s %9s %9s %9s %9s %9s\n", "", "findings", "p50", "p99", "CPU", "kB")
	for _, q := range questions {
		if err := q.ask(db, n); err != nil {
			return err
		}
	}
	return nil
}

func pagesQuestions(handler http.Handler, now time.Time, data *pagesData, n int) ([]question, error) {
	admin, tenant := &visitor{handler: handler, token: "admin"}, &visitor{handler: handler, token: "tenant"}
	rule := data.finding(n/2, data.object(n/2/pagesObject, data.spaces(n)))
	object := data.object(n/2/pagesObject/100*100, data.spaces(n))
	var experiment string
	for _, c := range data.controls {
		if len(c.Experiments) > 0 {
			experiment = c.ID + "/" + c.Experiments[0].Name
			break
		}
	}
	ask := func(parameters ...string) string {
		q := url.Values{}
		for i := 0; i < len(parameters); i += 2 {
			q.Set(parameters[i], parameters[i+1])
		}
		return "/findings?" + q.Encode()
	}
	var list []question
	add := func(what string, v *visitor, path string) {
		list = append(list, question{what, func() (time.Duration, []byte, error) { return v.get(path) }})
	}
	list = append(list, question{firstView, admin.firstView})
	for _, p := range []struct{ what, path string }{
		{"overview", "/"},
		{"changes", "/changes"},
		{"control", "/controls/" + rule.Control},
		{"findings", "/findings"},
		{"findings: newest", ask("order", "newest")},
		{"findings: by object", ask("order", "object")},
		{"findings: a control", ask("control", rule.Control)},
		{"findings: a control, by object", ask("control", rule.Control, "order", "object")},
		{"findings: a rule", ask("rule", rule.Rule)},
		{"findings: a rule, by object", ask("rule", rule.Rule, "order", "object")},
		{"findings: a namespace", ask("namespace", "team-007")},
		{"findings: a namespace and control", ask("namespace", "team-007", "control", rule.Control)},
		{"findings: a kind", ask("kind", string(object.Kind))},
		{"findings: a kind, by object", ask("kind", string(object.Kind), "order", "object")},
		{"findings: high and worse", ask("severity", "high")},
		{"findings: high and worse, by object", ask("severity", "high", "order", "object")},
		{"findings: waived", ask("state", "waived")},
		{"findings: waived, by object", ask("state", "waived", "order", "object")},
		{"findings: gone", ask("state", "gone")},
		{"findings: all, newest", ask("state", "all", "order", "newest")},
		{"findings: since today", ask("since", now.Format(time.DateOnly))},
		{"findings: since today, by object", ask("since", now.Format(time.DateOnly), "order", "object")},
		{"findings: a name", ask("name", object.Name)},
		{"findings: a word of all", ask("q", "registry")},
		{"findings: a word of a rule", ask("q", lastWord(rule.Rule))},
		{"findings: a word of a rule, newest", ask("q", lastWord(rule.Rule), "order", "newest")},
		{"findings: a word of a rule, by object", ask("q", lastWord(rule.Rule), "order", "object")},
		{"findings: words of 1 in 100", ask("q", "service 77")},
		{"findings: words of 1 in 100, by object", ask("q", "service 77", "order", "object")},
		{"findings: a namespace by words", ask("q", "team 017")},
		{"findings: a namespace by words, by object", ask("q", "team 017", "order", "object")},
		{"findings: words in a namespace", ask("q", lastWord(rule.Rule), "namespace", "team-007")},
		{"findings: a rare word", ask("q", "service 1234")},
		{"findings: a word of none", ask("q", "nonesuch")},
		{"a finding", "/findings/" + rule.ID},
		{"workloads", "/workloads"},
		{"workloads: by findings", "/workloads?order=findings"},
		{"workloads: a name, by findings", "/workloads?order=findings&q=service-77"},
		{"workloads: a word of all, by findings", "/workloads?order=findings&q=service"},
		{"workload", "/objects/" + url.PathEscape(string(object.Kind)) + "/" + object.Namespace + "/" + object.Name},
		{"namespaces", "/namespaces"},
		{"namespaces: by findings", "/namespaces?order=findings"},
		{"namespaces: a control and rung", "/namespaces?rung=gap&control=" + url.QueryEscape(rule.Control)},
		{"experiments", "/experiments"},
		{"experiments: last tried first", "/experiments?order=newest"},
		{"an experiment", "/experiments/" + experiment},
		{"runs", "/runs"},
		{"runs: oldest", "/runs?order=oldest"},
		{"runs: stopped", "/runs?state=stopped"},
		{"runs: broken", "/runs?state=broken"},
		{"runs: by trigger and control", "/runs?trigger=api&control=" + url.QueryEscape(rule.Control)},
		{"runs: a word", "/runs?q=alice"},
		{"runs: a word of none", "/runs?q=nonesuch"},
		{"a run", "/runs/run-5000"},
		{"changes: since today", "/changes?since=" + now.Format(time.DateOnly)},
		{"changes: a namespace and control", "/changes?namespace=team-007&control=" + url.QueryEscape(rule.Control)},
		{"changes: a word of none", "/changes?q=nonesuch"},
		{"scopes", "/controls/" + rule.Control + "/scopes"},
		{"scopes: a rung", "/controls/" + rule.Control + "/scopes?rung=proven"},
		{"scopes: a word of none", "/controls/" + rule.Control + "/scopes?q=nonesuch"},
		{"ledger", "/ledger"},
		{"ledger: a word of none", "/ledger?q=nonesuch"},
		{"alerts", "/alerts"},
		{"alerts: all", "/alerts?state=all"},
		{"alerts: over, oldest", "/alerts?state=over&order=oldest"},
		{"alerts: worst first", "/alerts?state=all&order=severity"},
		{"alerts: a kind, worst first", "/alerts?state=all&kind=rung&order=severity"},
		{"alerts: critical", "/alerts?state=all&severity=critical"},
		{"alerts: a control", "/alerts?state=all&control=" + url.QueryEscape(rule.Control)},
		{"alerts: a namespace", "/alerts?state=all&namespace=team-007"},
		{"alerts: a word of none", "/alerts?state=all&q=nonesuch"},
		{"waivers", "/waivers"},
		{"waivers: most accepted first", "/waivers?order=accepts"},
		{"enforce", "/enforce"},
		{"activity", "/activity"},
		{"activity: somebody", "/activity?who=person-7"},
		{"activity: refused, oldest", "/activity?outcome=refused&order=oldest"},
		{"activity: a word of none", "/activity?q=nonesuch"},
		{"search", "/search?q=service-77"},
		{"search: a word of all", "/search?q=registry"},
		{"API: overview", "/api/v1/overview"},
		{"API: findings, 50", "/api/v1/findings"},
		{"API: findings, 1000", "/api/v1/findings?limit=1000"},
		{"API: workloads", "/api/v1/workloads"},
		{"API: namespaces", "/api/v1/namespaces"},
		{"API: runs, 200", "/api/v1/runs?limit=200"},
		{"API: alerts, 1000", "/api/v1/alerts?limit=1000"},
		{"API: ledger", "/api/v1/ledger/entries"},
		{"API: changes", "/api/v1/changes"},
	} {
		add(p.what, admin, p.path)
	}
	for _, order := range []string{"severity", "newest", "object"} {
		path, err := admin.deep(ask("order", order), "/api/v1/findings?order="+order)
		if err != nil {
			return nil, err
		}
		add("findings: deep, by "+order, admin, path)
	}
	list = append(list, question{"CSV of all, first bytes", func() (time.Duration, []byte, error) { return admin.firstByte("/findings?format=csv") }})
	add("tenant: overview", tenant, "/")
	add("tenant: findings", tenant, "/findings")
	add("tenant: findings by object", tenant, ask("order", "object"))
	add("tenant: a word of a rule", tenant, ask("q", lastWord(rule.Rule)))
	add("tenant: control", tenant, "/controls/"+rule.Control)
	add("tenant: namespaces", tenant, "/namespaces")
	add("tenant: workloads by findings", tenant, "/workloads?order=findings")

	return list, nil
}

// fleetQuestions are those of a hub that keeps many clusters.
func fleetQuestions(handler http.Handler, data *pagesData, n int) []question {
	admin := &visitor{handler: handler, token: "admin"}
	word := lastWord(data.finding(n/2, data.object(n/2/pagesObject, data.spaces(n))).Rule)
	var list []question
	for _, p := range []struct{ what, path string }{
		{"hub: clusters", "/clusters"},
		{"hub: clusters, heard longest ago first", "/clusters?order=heard"},
		{"hub: clusters, by findings", "/clusters?order=findings"},
		{"hub: clusters out of sight", "/clusters?state=lost"},
		{"hub: clusters, second page", "/clusters?cursor=100"},
		{"hub: overview", "/"},
		{"hub: overview of another", "/?cluster=spoke-7"},
		{"hub: findings", "/findings"},
		{"hub: findings of another", "/findings?cluster=spoke-7"},
		{"hub: a word of a rule", "/findings?q=" + word},
		{"hub: a word of a rule, of another", "/findings?cluster=spoke-7&q=" + word},
		{"hub: a rare word", "/findings?q=service+1234"},
		{"hub: namespaces", "/namespaces"},
		{"hub: search", "/search?q=service-77"},
	} {
		list = append(list, question{p.what, func() (time.Duration, []byte, error) { return admin.get(p.path) }})
	}
	return list
}

// firstView is what the budget of what is transferred is for.
const firstView = "first view, with all that it loads"

// ask prints what a page takes, of n findings.
func (q *question) ask(db *sql.DB, n int) error {
	var took []time.Duration
	size := 0
	before, err := used(db)
	if err != nil {
		return err
	}
	for begun := time.Now(); len(took) < pagesRounds && (len(took) < 3 || time.Since(begun) < pagesEnough); {
		one, body, err := q.get()
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		took, size = append(took, one), len(body)
	}
	after, err := used(db)
	if err != nil {
		return err
	}
	cpu := (after - before) / time.Duration(len(took))
	slices.Sort(took)
	over := ""
	if took[len(took)/2] > 100*time.Millisecond || q.what == firstView && size > 300_000 {
		over = "  over"
	}
	fmt.Printf("  %-44s %9d %9s %9s %9s %9.1f%s\n", q.what, n, ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(cpu), float64(size)/1000, over)
	return nil
}

// lastWord is the last word of a rule's ID.
func lastWord(rule string) string {
	for i := len(rule) - 1; i >= 0; i-- {
		if rule[i] == '-' || rule[i] == '/' {
			return rule[i+1:]
		}
	}
	return rule
}
