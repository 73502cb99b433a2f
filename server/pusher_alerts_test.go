package server

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// alertsThere is a spoke's alerts, and a hub that they are pushed to.
type alertsThere struct {
	*testing.T
	here, there *store.Store
	pusher      *Pusher
	now         time.Time
	// way is asked what becomes of a push: 0 it arrives, 1 its answer is lost; else what is answered in its place.
	way func(push string) int
	// said is the text of an answer in its place.
	said string
	// told are the pushes of alerts that arrived.
	told []string
}

func newAlertsThere(t *testing.T) *alertsThere {
	const token = "the token of the spoke"
	p := &alertsThere{T: t, here: openStore(t), there: openStore(t), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), way: func(string) int { return 0 }}
	for _, s := range []*store.Store{p.here, p.there} {
		p.ok(s.PutCluster(t.Context(), tellingUID, "telling", p.now))
	}
	p.ok(p.there.SetToken(t.Context(), tellingUID, store.HashToken(token)))
	log, now := slog.New(slog.DiscardHandler), func() time.Time { return p.now }
	hub := &Hub{Store: p.there, Front: &Front{Sessions: &Sessions{Now: time.Now}, Log: log, Now: time.Now}, Own: func() string { return "own" }, News: NewNews(), Log: log, Now: now, Keep: 48 * time.Hour}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Error(err)
			return
		}
		push := string(data)
		way := p.way(push)
		if way > 1 {
			w.WriteHeader(way)
			_, _ = io.WriteString(w, p.said)
			return
		}
		if strings.Contains(push, `"kind":"alerts"`) {
			p.told = append(p.told, push)
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(push)), int64(len(push))
		r.Header.Del("Content-Encoding")
		if way == 1 {
			hub.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		hub.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	var err error
	p.pusher, err = NewPusher(server.URL, func() (string, error) { return token, nil }, nil)
	p.ok(err)
	p.ok(p.pusher.Replace(t.Context(), tellingUID, p.now, store.Delta{}))
	return p
}

func (p *alertsThere) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *alertsThere) raise(key, text string) {
	p.Helper()
	p.ok(p.here.Raise(p.Context(), tellingUID, p.now, store.Alert{Key: key, Kind: store.AlertFinding, Severity: bailey.SeverityHigh, Title: "t", Text: text}))
}

func (p *alertsThere) push() error {
	return p.pusher.PushAlerts(p.Context(), p.here, tellingUID, p.now)
}

func (p *alertsThere) alerts(s *store.Store) []Alert {
	p.Helper()
	page, err := s.Alerts(p.Context(), store.AlertQuery{Cluster: tellingUID, Access: store.Everything(), State: store.All})
	p.ok(err)
	var all []Alert
	for i := range page.Items {
		all = append(all, alertOf(&page.Items[i]))
	}
	return all
}

// same fails unless the hub shows what the spoke does.
func (p *alertsThere) same(what string) {
	p.Helper()
	if here, there := p.alerts(p.here), p.alerts(p.there); !reflect.DeepEqual(here, there) {
		p.Fatalf("%s: the spoke shows\n%+v\nand the hub\n%+v", what, here, there)
	}
	if waiting, err := p.there.Waiting(p.Context(), tellingUID, 10); err != nil || len(waiting) > 0 {
		p.Errorf("%s: the hub is to deliver %+v %v", what, waiting, err)
	}
}

// TestAlertsAtHub: the hub shows what becomes of a spoke's alerts as the spoke does, and is told only what
// changed; a push whose answer is lost begins anew with all, and what the hub is too busy for comes later.
func TestAlertsAtHub(t *testing.T) {
	p := newAlertsThere(t)
	p.raise("old", "from before the hub")
	p.ok(p.push())
	p.same("at first")
	end := func() { p.ok(p.here.Resolve(t.Context(), tellingUID, p.now, "old")) }
	for _, step := range []struct {
		what   string
		change func()
	}{
		{"one more", func() { p.raise("new", "text") }},
		{"counted", func() { p.raise("old", "from before the hub") }},
		{"changed", func() { p.raise("old", "something else") }},
		{"revised", func() {
			p.ok(p.here.Revise(t.Context(), tellingUID, p.now, store.Alert{Key: "old", Kind: store.AlertFinding, Title: "revised"}))
		}},
		{"over", end},
		{"back", func() { p.raise("old", "again") }},
		{"over, and back", func() { end(); p.now = p.now.Add(time.Minute); p.raise("old", "and again") }},
		{"back, and over", func() { end(); p.now = p.now.Add(time.Minute); p.raise("old", "and again"); end() }},
	} {
		p.now = p.now.Add(time.Minute)
		step.change()
		p.ok(p.push())
		p.same(step.what)
	}
	before := len(p.told)
	p.ok(p.push())
	if len(p.told) != before {
		t.Errorf("nothing changed, and this is pushed: %s", p.told[before])
	}
	for _, push := range p.told[1:] {
		if strings.Contains(push, `"all":true`) || strings.Count(push, `"alert":`) != 1 {
			t.Errorf("one alert changed, and this is pushed: %s", push)
		}
	}

	p.now = p.now.Add(time.Minute)
	p.raise("busy", "text")
	p.way = func(string) int { return http.StatusTooManyRequests }
	if err := p.push(); !errors.Is(err, errNotTaken) {
		t.Errorf("of a busy hub is said: %v", err)
	}
	p.way = func(string) int { return 0 }
	p.ok(p.push())
	p.same("once it is not busy")

	for name, way := range map[string]int{"its answer is lost": 1, "it does not arrive": http.StatusBadGateway} {
		p.now = p.now.Add(time.Minute)
		p.raise(name, "text")
		p.ok(p.here.Resolve(t.Context(), tellingUID, p.now, "busy"))
		p.way = func(string) int { return way }
		if err := p.push(); err == nil || errors.Is(err, errNotTaken) || errors.Is(err, errRefused) {
			t.Errorf("%s: %v", name, err)
		}
		p.way = func(string) int { return 0 }
		p.now = p.now.Add(time.Minute)
		p.ok(p.here.Resolve(t.Context(), tellingUID, p.now, "new"))
		if err := p.push(); (way == 1) != (err == nil) { // it follows one that is kept, though the spoke does not know that, or one that is not
			t.Errorf("%s, and the next is pushed: %v", name, err)
		}
		p.ok(p.pusher.Replace(t.Context(), tellingUID, p.now, store.Delta{}))
		p.ok(p.push())
		p.same(name)
		if last := p.told[len(p.told)-1]; !strings.Contains(last, `"all":true`) {
			t.Errorf("%s: a session begins with %s", name, last)
		}
	}
}

// TestAlertsOfOldHub: a hub that does not know alerts goes on taking what is found, and is asked again after
// a while.
func TestAlertsOfOldHub(t *testing.T) {
	p := newAlertsThere(t)
	tries := 0
	p.way = func(push string) int {
		if strings.Contains(push, `"kind":"alerts"`) {
			tries++
			return http.StatusBadRequest
		}
		return 0
	}
	p.raise("one", "text")
	p.said = `the push cannot be read: line 1: no kind of push: "alerts"` // as hubs before alerts were pushed say
	if err := p.push(); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "older Bailey") {
		t.Errorf("of an old hub is said: %v", err)
	}
	for range 3 {
		p.now = p.now.Add(time.Minute)
		p.ok(p.push())
		p.ok(p.pusher.Heard(t.Context(), tellingUID, p.now))
	}
	if tries != 1 {
		t.Errorf("it was asked %d times", tries)
	}
	p.said = "the push cannot be read: line 2: an alert that says too much"
	p.now = p.now.Add(refusedRest)
	if err := p.push(); !errors.Is(err, errRefused) || strings.Contains(err.Error(), "older Bailey") || !strings.Contains(err.Error(), "says too much") {
		t.Errorf("of an alert that is refused is said: %v", err)
	}
	p.way = func(string) int { return 0 } // it is another version by now
	p.now = p.now.Add(refusedRest + time.Second)
	p.ok(p.push())
	p.same("after an upgrade")
}

// TestAlertsTooOld: what a spoke remembers for longer than the hub does not come back there.
func TestAlertsTooOld(t *testing.T) {
	p := newAlertsThere(t)
	p.raise("old", "text")
	p.ok(p.here.Resolve(t.Context(), tellingUID, p.now, "old"))
	p.now = p.now.Add(47 * time.Hour)
	p.ok(p.push())
	p.same("within the time")
	p.now = p.now.Add(72 * time.Hour)
	p.raise("new", "text")
	_, err := p.there.Prune(t.Context(), tellingUID, p.now.Add(-48*time.Hour))
	p.ok(err)
	p.ok(p.pusher.Replace(t.Context(), tellingUID, p.now, store.Delta{}))
	p.ok(p.push())
	if got := p.alerts(p.there); len(got) != 1 || got[0].Key != "new" {
		t.Errorf("the hub shows %+v", got)
	}
}
