package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestPushToReplicas: of two pushes that follow the same one, at two replicas of a hub at once, one is
// taken; and of two whole states none is mixed with the other.
func TestPushToReplicas(t *testing.T) {
	dir := t.TempDir()
	var at [2]string
	var kept *store.Store
	for i := range at {
		s, err := sqlite.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		kept = s
		log := slog.New(slog.DiscardHandler)
		hub := httptest.NewServer(&Hub{Store: s, Front: &Front{Sessions: &Sessions{Now: time.Now}, Log: log, Now: time.Now}, Own: func() string { return "own" }, News: NewNews(), Log: log, Now: time.Now})
		t.Cleanup(hub.Close)
		at[i] = hub.URL
	}
	const uid, token = "spoke", "the token of the spoke"
	if err := kept.PutCluster(t.Context(), uid, uid, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := kept.SetToken(t.Context(), uid, store.HashToken(token)); err != nil {
		t.Fatal(err)
	}
	push := func(where string, h pushHeader, d *store.Delta) int {
		h.Cluster = uid
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, where, strings.NewReader(pushOf(t, h, d)))
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	state := func(of string, objects int) *store.Delta {
		d := &store.Delta{}
		for i := range objects {
			ref := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: fmt.Sprint(of, "-", i)}
			d.Findings = append(d.Findings, bailey.Finding{ID: fmt.Sprint(of, "-", i), Control: "c/d", Rule: "c/d/" + of, Severity: bailey.SeverityHigh, Object: ref, Message: "m"})
			d.Judged = append(d.Judged, ref)
		}
		return d
	}
	// rules counts the open findings by their rule.
	rules := func() map[string]int {
		counts, after := map[string]int{}, ""
		for {
			page, err := kept.Findings(t.Context(), store.FindingQuery{Cluster: uid, Access: store.Everything(), Limit: 1000, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page.Items {
				counts[f.Rule]++
			}
			if after = page.Next; after == "" {
				return counts
			}
		}
	}
	atBoth := func(one func(i int) int) (codes [2]int) {
		var all sync.WaitGroup
		for i := range at {
			all.Go(func() { codes[i] = one(i) })
		}
		all.Wait()
		return codes
	}
	for round := range 10 {
		session := fmt.Sprint("session-", round)
		if code := push(at[0], pushHeader{Kind: pushWhole, Session: session}, &store.Delta{}); code != http.StatusNoContent {
			t.Fatalf("a whole state: %d", code)
		}
		codes := atBoth(func(i int) int {
			return push(at[i], pushHeader{Kind: pushDelta, Session: session, Number: 1}, state(fmt.Sprint("r", i), 20))
		})
		if codes[0]+codes[1] != http.StatusNoContent+http.StatusConflict || len(rules()) != 1 {
			t.Errorf("two deltas after the same: %v, kept %v", codes, rules())
		}
		const objects = 1500 // in several transactions
		codes = atBoth(func(i int) int {
			return push(at[i], pushHeader{Kind: pushWhole, Session: fmt.Sprint(session, "-", i)}, state(fmt.Sprint("r", i), objects))
		})
		for i, code := range codes {
			if code != http.StatusNoContent && code != http.StatusConflict {
				t.Errorf("a whole state at replica %d: %d", i, code)
			}
		}
		got := rules()
		if len(got) != 1 || got["c/d/r0"]+got["c/d/r1"] != objects {
			t.Errorf("two whole states: %v, kept %v", codes, got)
		}
		follow := [2]int{}
		for i := range at {
			follow[i] = push(at[i], pushHeader{Kind: pushHeard, Session: fmt.Sprint(session, "-", i), Number: 1}, &store.Delta{})
			if taken := follow[i] == http.StatusNoContent; taken != (got[fmt.Sprint("c/d/r", i)] > 0) {
				t.Errorf("what follows state %d: %d; kept is %v", i, follow[i], got)
			}
		}
		if t.Failed() {
			return
		}
	}
}
