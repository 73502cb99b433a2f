package server

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// keeping is a recorder whose reports a test gives.
type keeping struct {
	*Recorder
	now time.Time
}

// begin starts a process over a store: what another knew it does not.
func (k *keeping) begin(kept *store.Store) {
	log, now := slog.New(slog.DiscardHandler), func() time.Time { return k.now }
	loop, news := k.Loop, k.News
	if loop == nil {
		news = NewNews()
		loop = NewLoop(LoopOptions{Now: now}, news)
		loop.snap = bailey.NewBuilder(bailey.Meta{ClusterUID: tellingUID}).Snapshot()
	}
	k.Recorder = &Recorder{Store: kept, Loop: loop, News: news, Log: log, Now: now, Raiser: &Raiser{Store: kept, Loop: loop, News: news, Log: log, Now: now}}
}

// alerts lists key, times and state of each alert.
func (k *keeping) alerts(t *testing.T) string {
	t.Helper()
	page, err := k.Raiser.Store.Alerts(t.Context(), store.AlertQuery{Cluster: tellingUID, Access: store.Everything(), State: store.All})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range page.Items {
		line := a.Key + " " + strings.Repeat("+", a.Times)
		if !a.Resolved.IsZero() {
			line += " over"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	return kept
}

// TestRestart: a process that begins anew raises nothing twice, and raises and ends what changed
// while none ran; a fall that must last lasts across it; and a report that was not kept raises again.
func TestRestart(t *testing.T) {
	k := &keeping{Recorder: &Recorder{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	kept := openStore(t)
	k.begin(kept)
	report := func(r bailey.Rung, names ...string) *bailey.Report {
		all := &bailey.Report{Controls: alarmControls, Verdicts: []bailey.Verdict{inCluster("d/e", r)}}
		for _, n := range names {
			all.Findings = append(all.Findings, podFinding(n, bailey.SeverityHigh))
		}
		return all
	}
	const finding = "finding/a/b/c/shop"
	for _, step := range []struct {
		what    string
		later   time.Duration
		restart bool
		report  *bailey.Report
		want    string
	}{
		{"the first report is quiet", 0, false, report(bailey.RungGuarded, "a"), ""},
		{"so is the first after a restart", time.Minute, true, report(bailey.RungGuarded, "a"), ""},
		{"something is new", time.Minute, false, report(bailey.RungGuarded, "a", "b"), finding + " +"},
		{"it is not after a restart", time.Minute, true, report(bailey.RungGuarded, "a", "b"), finding + " +"},
		{"what went while nothing ran is over, once it was gone for a while", time.Minute, true, report(bailey.RungGuarded, "a"), finding + " +"},
		{"it is over", calm, false, report(bailey.RungGuarded, "a"), finding + " + over"},
		{"something came while nothing ran", time.Hour, true, report(bailey.RungGuarded, "a", "b"), finding + " ++"},
		{"a fall that must last", time.Hour, false, report(bailey.RungUnknown, "a", "b"), finding + " ++"},
		{"lasts across a restart", fallHold - time.Second, true, report(bailey.RungUnknown, "a", "b"), finding + " ++"},
		{"and is told then", time.Second, false, report(bailey.RungUnknown, "a", "b"), finding + " ++, rung/d/e/ +"},
		{"once", time.Minute, true, report(bailey.RungUnknown, "a", "b"), finding + " ++, rung/d/e/ +"},
		{"what fell while nothing ran is told", time.Hour, true, report(bailey.RungGap, "a", "b"), finding + " ++, rung/d/e/ ++"},
		{"and what climbed is over", time.Hour, true, report(bailey.RungProven, "a", "b"), finding + " ++, rung/d/e/ ++"},
		{"after a while", calm, false, report(bailey.RungProven, "a", "b"), finding + " ++, rung/d/e/ ++ over"},
	} {
		k.now = k.now.Add(step.later)
		if step.restart {
			k.begin(kept)
		}
		if err := k.keep(t.Context(), step.report); err != nil {
			t.Fatal(err)
		}
		if got := k.alerts(t); got != step.want {
			t.Fatalf("%s: %s, want %s", step.what, got, step.want)
		}
	}
	// A process that ends between the alert and the report finds the alert there.
	k.now = k.now.Add(time.Hour)
	worse := report(bailey.RungProven, "a", "b", "c")
	if err := k.Raiser.Take(t.Context(), tellingUID, worse, k.now); err != nil {
		t.Fatal(err)
	}
	before, err := kept.Waiting(t.Context(), tellingUID, 10)
	if err != nil {
		t.Fatal(err)
	}
	k.now = k.now.Add(time.Second)
	k.begin(kept)
	if err := k.keep(t.Context(), worse); err != nil {
		t.Fatal(err)
	}
	after, err := kept.Waiting(t.Context(), tellingUID, 10)
	if err != nil || len(after) != len(before) || after[0].Changed != before[0].Changed {
		t.Errorf("it waits to be told again: %+v, before %+v (%v)", after, before, err)
	}
}

// TestSightAlert: a cluster that is out of sight for minutes is told, once, also by a process that
// begins anew, and is over once it was back for minutes.
func TestSightAlert(t *testing.T) {
	k := &keeping{Recorder: &Recorder{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	k.begin(openStore(t))
	if err := k.keep(t.Context(), &bailey.Report{}); err != nil {
		t.Fatal(err)
	}
	k.Loop.publish(&bailey.Report{})
	w := &sightWatch{}
	lost := k.now
	for _, step := range []struct {
		later time.Duration
		lost  bool
		anew  bool
		want  string
	}{
		{0, true, false, ""},
		{sightHold - time.Second, true, false, ""},
		{time.Second, true, false, sightKey + " +"},
		{time.Minute, true, false, sightKey + " +"},
		{time.Minute, true, true, sightKey + " +"},
		{time.Minute, false, false, sightKey + " +"},
		{time.Minute, true, false, sightKey + " +"},
		{time.Minute, false, false, sightKey + " +"},
		{calm, false, false, sightKey + " + over"},
		{calm, false, true, sightKey + " + over"},
	} {
		k.now = k.now.Add(step.later)
		k.Loop.contact.Lost, k.Loop.contact.Why = time.Time{}, nil
		if step.lost {
			k.Loop.contact.Lost, k.Loop.contact.Why = lost, errors.New("connection refused")
		}
		if step.anew {
			w = &sightWatch{}
		}
		if err := k.Raiser.watch(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if got := k.alerts(t); got != step.want {
			t.Errorf("%s later: %q, want %q", k.now.Sub(lost), got, step.want)
		}
	}
}

// TestLedgerAlert: a ledger that is damaged is told, once, also by a process that begins anew, and is over once
// it was verified whole, or none is kept; one that takes nothing is told less loudly, and until it does.
func TestLedgerAlert(t *testing.T) {
	k := &keeping{Recorder: &Recorder{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	k.begin(openStore(t))
	if err := k.keep(t.Context(), &bailey.Report{}); err != nil {
		t.Fatal(err)
	}
	verified := k.now
	whole := LedgerState{Appending: true, Verified: &verified}
	unverified := LedgerState{Appending: true}
	starting := LedgerState{}
	full := LedgerState{Appending: true, Verified: &verified, Problem: "no space left on device"}
	damaged := LedgerState{Problem: "entry 7 is not what the tree says", Damaged: true}
	w := &bookWatch{}
	for _, step := range []struct {
		what  string
		state *LedgerState // nil: none is kept
		anew  bool
		want  string
	}{
		{"before it was looked at", &starting, false, ""},
		{"whole", &whole, false, ""},
		{"full", &full, false, "ledger + high"},
		{"full still", &full, false, "ledger + high"},
		{"full after a restart", &full, true, "ledger + high"},
		{"there is room", &whole, false, "ledger + over high"},
		{"full again", &full, false, "ledger ++ high"},
		{"damaged at that", &damaged, false, "ledger +++ critical"},
		{"damaged still", &damaged, false, "ledger +++ critical"},
		{"a restart", &starting, true, "ledger +++ critical"},
		{"damaged after it", &damaged, false, "ledger +++ critical"},
		{"not verified whole", &unverified, true, "ledger +++ critical"},
		{"only full", &full, false, "ledger +++ critical"},
		{"whole again", &whole, false, "ledger +++ over critical"},
		{"damaged again", &damaged, true, "ledger ++++ critical"},
		{"none is kept", nil, true, "ledger ++++ over critical"},
	} {
		k.now = k.now.Add(time.Minute)
		if step.anew {
			w = &bookWatch{}
		}
		var state LedgerState
		if step.state != nil {
			state = *step.state
		}
		if err := k.Raiser.watchBook(t.Context(), w, step.state != nil, state); err != nil {
			t.Fatal(err)
		}
		got := k.alerts(t)
		if a, err := k.Raiser.Store.Alert(t.Context(), store.Everything(), tellingUID, ledgerKey); err == nil {
			got += " " + a.Severity.String()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
	}
}

// TestAlertEvents: the stream of events tells each the alerts of their namespaces, and those of
// the cluster to who sees everything.
func TestAlertEvents(t *testing.T) {
	w := startWorld(t)
	mine, theirs := devclustertest.Namespace(t, nil), devclustertest.Namespace(t, nil)
	tenant, admin := w.token(t, mine, "tenant"), w.token(t, mine, "admin")
	w.grant(t, mine, "tenant", mine, baileyRule("get", "reports"))
	w.grant(t, mine, "admin", "", baileyRule("get", "reports"))
	raiser := &Raiser{Store: w.desk.o.Store, News: w.news}
	alert := func(key, namespace string) {
		a := store.Alert{Key: key, Kind: store.AlertFinding, Severity: bailey.SeverityHigh, Title: "of " + key}
		if namespace != "" {
			a.Object = bailey.Ref{Kind: bailey.KindNamespace, Name: namespace}
		}
		if err := raiser.do(t.Context(), w.loop.Cluster(), time.Now(), alertChange{alertRaise, a}); err != nil {
			t.Fatal(err)
		}
	}
	streams := map[string]*bufio.Scanner{}
	for name, token := range map[string]string{"tenant": tenant, "admin": admin} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", name, answer.Status)
		}
		streams[name] = bufio.NewScanner(answer.Body)
	}
	alert("test/theirs", theirs)
	alert("test/cluster", "")
	alert("test/mine", mine)
	for name, want := range map[string][]string{"tenant": {"test/mine"}, "admin": {"test/theirs", "test/cluster", "test/mine"}} {
		var got []string
		for len(got) == 0 || got[len(got)-1] != "test/mine" {
			if !streams[name].Scan() {
				t.Fatalf("%s: the stream ended after %q: %v", name, got, streams[name].Err())
			}
			if _, key, found := strings.Cut(streams[name].Text(), `{"key":"test/`); found {
				key, _, _ = strings.Cut(key, `"`)
				got = append(got, "test/"+key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is told %q, want %q", name, got, want)
		}
		token := map[string]string{"tenant": tenant, "admin": admin}[name]
		_, body, _ := w.ask(t, token, http.MethodGet, "/api/v1/alerts?open=true", "")
		for _, key := range []string{"test/theirs", "test/cluster", "test/mine"} {
			if strings.Contains(body, key) != slices.Contains(want, key) {
				t.Errorf("%s: the list is wrong about %s: %s", name, key, body)
			}
		}
	}
}
