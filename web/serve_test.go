package web_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/internal/providertest"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/web"
)

// people are who has a token in the tests, by it.
var people = map[string]server.Who{
	"admin":    {Name: "rosa@example.org"},
	"tenant":   {Name: "kai@shop.example.org"},
	"stranger": {Name: "nobody@example.org"},
	"reader":   {Name: "reader@example.org"},
	"guest":    {Name: "guest@example.org"},
}

// administrators may see and do everything: one by a token, one by the identity provider.
var administrators = []string{"rosa@example.org", providertest.Subject}

// crowded is a token that comes with too many others.
const crowded = "crowded"

type tokens struct{}

func (tokens) Whose(_ context.Context, token string) (server.Who, error) {
	if who, found := people[token]; found {
		return who, nil
	}
	if token == crowded {
		return server.Who{}, server.ErrCrowded
	}
	return server.Who{}, server.ErrUnknownToken
}

// rules are what the people may: the administrator everything, the reader to read all, the tenant to
// read two namespaces.
type rules struct{}

func (rules) May(_ context.Context, who server.Who, _ server.Right, _ string) (bool, error) {
	return who.Local || slices.Contains(administrators, who.Name), nil
}

func (rules) Sees(_ context.Context, who server.Who, _ []string) (server.Namespaces, error) {
	switch {
	case who.Local || slices.Contains(administrators, who.Name), who.Name == people["reader"].Name:
		return server.Namespaces{All: true}, nil
	case who.Name == people["tenant"].Name:
		return server.Namespaces{Names: []string{"payments", "shop"}}, nil
	}
	return server.Namespaces{}, nil
}

// dashboard is a running dashboard over a fixture.
type dashboard struct {
	url  string
	news *server.News
	log  *logged
	jar  http.CookieJar
	desk *fixture
	runs []server.RunOrder
	// stopped are the runs that were stopped, and by whom.
	stopped []string
	book    *book
	// deaf counts streams of events that are to be refused yet, and heard those that were opened.
	deaf, heard atomic.Int32
}

// logged keeps what the server wrote to its log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// askAnybody lets people see what the rules say.
func askAnybody(ctx context.Context, cluster string) (server.Ask, error) {
	who := server.WhoAsks(ctx)
	if who.Anonymous() {
		return server.Ask{}, server.ErrLogIn
	}
	sees, _ := rules{}.Sees(ctx, who, nil)
	plans, _ := rules{}.May(ctx, who, server.PlanGuards, "")
	ask := server.Ask{Cluster: cluster, Sees: sees, Guards: plans, Shown: func(_ context.Context, uid string) (bool, error) {
		return sees.All || uid == ownUID && len(sees.Names) > 0 || uid == "spoke-1" && who.Name == people["guest"].Name, nil
	}}
	if shown, _ := ask.Shown(ctx, cmp.Or(cluster, ownUID)); !shown {
		return server.Ask{Shown: ask.Shown}, server.ErrForbidden
	}
	if cluster != "" && cluster != ownUID {
		ask.Sees.All, ask.Guards = true, true
	}
	return ask, nil
}

// start serves the dashboard, with a session of one of the people; of nobody if empty.
func start(t testing.TB, f *fixture, person string, b *book) *dashboard {
	t.Helper()
	d := &dashboard{news: server.NewNews(), log: &logged{}, desk: f, book: b}
	logger := slog.New(slog.NewTextHandler(d.log, nil))
	front := &server.Front{Sessions: &server.Sessions{Store: f.sessions, Now: time.Now}, Tokens: tokens{}, Log: logger, Now: time.Now}
	o := web.Options{Desk: f, Controls: controls.All(), Isolated: !f.asksOnly, Rights: rules{}, Front: front, Version: "test", Log: logger, Now: func() time.Time { return now },
		Ask: askAnybody, Propose: f.propose,
		Run: func(_ context.Context, _ string, order server.RunOrder) (string, error) {
			d.runs = append(d.runs, order)
			return f.run.ID, nil
		},
		Stop: func(_ context.Context, by, id string) error {
			d.stopped = append(d.stopped, id+" by "+by)
			return nil
		},
	}
	mux := http.NewServeMux()
	o.Away = func() bool { return f.away }
	if f.gate != nil {
		o.Gate = func() *server.GateState { return f.gate }
	}
	if b != nil {
		o.Ledger = b.Page
		mux.Handle("/api/v1/ledger/", (&server.API{Version: "test", Rights: rules{}, Book: b.Book, Log: logger}).Handler())
	}
	mux.HandleFunc("GET /api/v1/events", d.events)
	mux.Handle("/", web.New(o))
	s := httptest.NewUnstartedServer(front.Wrap(mux))
	s.Config.WriteTimeout = f.patience
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	d.url = s.URL
	d.jar, _ = cookiejar.New(nil)
	if person != "" {
		answer, err := d.client().PostForm(d.url+"/login", url.Values{"token": {person}})
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	return d
}

// client keeps the session and follows no redirect.
func (d *dashboard) client() *http.Client {
	return &http.Client{Jar: d.jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get gives the status and text of a page.
func (d *dashboard) get(t testing.TB, path string) (int, string) {
	t.Helper()
	answer, err := d.client().Get(d.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// events streams news as the server does.
func (d *dashboard) events(w http.ResponseWriter, r *http.Request) {
	if server.WhoAsks(r.Context()).Anonymous() {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	if d.deaf.Add(-1) >= 0 {
		http.Error(w, "no server is there now", http.StatusServiceUnavailable)
		return
	}
	d.heard.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	after := d.news.Last()
	fmt.Fprint(w, ": hello\n\n")
	_ = stream.Flush()
	for {
		items, _, more := d.news.After(after)
		for _, item := range items {
			after = item.Number
			data, _ := json.Marshal(item.Data)
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", item.Number, item.Kind, data)
			_ = stream.Flush()
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// book is a real ledger with records about experiments, as the server keeps and serves it.
type book struct {
	*server.Book
	dir  string
	made int
}

func newBook(t testing.TB, records int) *book {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	b := &book{dir: filepath.Join(t.TempDir(), "ledger")}
	if _, err := ledger.Init(t.Context(), b.dir, ledger.InitOptions{Recipients: []string{id.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	b.Book, err = server.OpenBook(server.BookOptions{Dir: b.dir, Identities: []age.Identity{id}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Verify(t.Context())
	b.write(t, records)
	return b
}

// write records evidence and awaits the checkpoint that covers it.
func (b *book) write(t testing.TB, n int) {
	t.Helper()
	turns := make(chan struct{}, 256)
	var all sync.WaitGroup
	for i := b.made; i < b.made+n; i++ {
		verdict := "held"
		if i%29 == 7 {
			verdict = "broken"
		}
		statement, _ := json.Marshal(map[string]any{"predicate": map[string]any{"verdict": verdict,
			"evidence": map[string]any{"control": controls.All()[i%46].ID, "experiment": "try-" + strconv.Itoa(i%3)}}})
		envelope, _ := json.Marshal(map[string]any{"payload": statement})
		turns <- struct{}{}
		all.Go(func() {
			b.Record(t.Context(), fmt.Sprintf("%064x", (i+1)*7919), envelope)
			<-turns
		})
	}
	all.Wait()
	b.made += n
	for end := time.Now().Add(time.Minute); b.State().Size < uint64(b.made)+1; time.Sleep(10 * time.Millisecond) {
		if s := b.State(); s.Problem != "" || time.Now().After(end) {
			t.Fatalf("%d records are not signed: %+v", b.made, s)
		}
	}
}

// change alters a file of the log until the function that it gives is called.
func (b *book) change(t testing.TB, name string, change func(data []byte)) (back func()) {
	t.Helper()
	path := filepath.Join(b.dir, "log", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := slices.Clone(data)
	change(bad)
	put(bad)
	return func() { put(data) }
}

var _ server.Rights = rules{}
var _ web.Desk = (*fixture)(nil)
