package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// alertsOf gives all alerts of a cluster, without what only one store knows of them.
func (b *bench) alertsOf(cluster string, state store.State) []store.Alert {
	b.Helper()
	all := walkPages(b, func(after string) (store.Page[store.Alert], error) {
		return b.s.Alerts(b.ctx, store.AlertQuery{Cluster: cluster, Access: store.Everything(), State: state, Limit: 100, After: after})
	}, func(a store.Alert) store.Alert { return a })
	for i := range all {
		all[i].Delivered, all[i].Changed, all[i].Seq = time.Time{}, 0, 0
	}
	return all
}

// testAlertStates: alerts of one cluster that are pushed as those of another stand there as they do here,
// whatever becomes of them and whichever push is lost; nobody is to deliver them there, and what was there
// before and is not here is over.
func testAlertStates(t *testing.T, p Place) {
	b := open(t, p)
	r := rand.New(rand.NewPCG(1, 2))
	b.ok(b.s.PushWhole(b.ctx, other, "staging", at(0), "s/0", store.Delta{}))
	b.ok(b.s.Raise(b.ctx, other, at(0), store.Alert{Key: "of another time", Kind: store.AlertRung}))
	const most = 5
	number, whole := 0, 0
	seq := int64(-1)
	push := func(minute int, lost bool) {
		t.Helper()
		states, err := b.s.AlertStates(b.ctx, uid, seq, most)
		b.ok(err)
		if states.Seq != b.seq() {
			t.Fatalf("the states are those of change %d, and the last is %d", states.Seq, b.seq())
		}
		if states.All {
			whole++
		}
		next := fmt.Sprint("s/", number+1)
		if err := b.s.PushAlerts(b.ctx, other, at(minute), "s/elsewhere", next, states, time.Time{}); !errors.Is(err, store.ErrOvertaken) {
			t.Fatalf("a push that follows another: %v", err)
		}
		if seq = states.Seq; lost {
			seq = -1
			return
		}
		b.ok(b.s.PushAlerts(b.ctx, other, at(minute), fmt.Sprint("s/", number), next, states, time.Time{}))
		number++
		before := b.change(other)
		b.ok(b.s.PushAlerts(b.ctx, other, at(minute), next, next, states, time.Time{})) // a second time it changes nothing
		if after := b.change(other); after != before {
			t.Fatalf("the same states are %d changes", after-before)
		}
		if diff := cmp.Diff(b.alertsOf(uid, store.Open), b.alertsOf(other, store.Open)); diff != "" {
			t.Fatalf("minute %d, all: %v: %s", minute, states.All, diff)
		}
		if waiting, err := b.s.Waiting(b.ctx, other, 10); err != nil || len(waiting) > 1 || len(waiting) == 1 && waiting[0].Key != "of another time" {
			t.Fatalf("to be delivered: %+v %v", waiting, err)
		}
	}
	for minute := 1; minute < 300; minute++ {
		for range r.IntN(4) {
			i := r.IntN(12)
			a := store.Alert{Key: fmt.Sprint("k", i, "\x00"), Kind: store.AlertFinding, Severity: bailey.Severity(2 + r.IntN(4)), Title: fmt.Sprint("t", r.IntN(2)), Object: workload("shop", fmt.Sprint(i)), Doc: []byte(`{"rule":"r"}`)}
			switch r.IntN(5) {
			case 0:
				b.ok(b.s.Resolve(b.ctx, uid, at(minute), a.Key))
			case 1:
				b.ok(b.s.Revise(b.ctx, uid, at(minute), a))
			default:
				b.ok(b.s.Raise(b.ctx, uid, at(minute), a))
			}
		}
		if r.IntN(40) == 0 {
			_, err := b.s.Prune(b.ctx, uid, at(minute))
			b.ok(err)
		}
		if r.IntN(3) == 0 {
			push(minute, r.IntN(5) == 0)
		}
	}
	push(300, false)
	if states, err := b.s.AlertStates(b.ctx, uid, b.seq()+1, most); err != nil || !states.All { // as of a history that went back to a backup
		t.Errorf("after a change that is still to come there are %+v %v", states, err)
	}
	if whole < 3 || whole > number/2 {
		t.Errorf("of %d pushes %d were of all", number, whole)
	}
	here := b.alertsOf(uid, store.Gone)
	there := b.alertsOf(other, store.Gone)
	if i := slices.IndexFunc(there, func(a store.Alert) bool { return a.Key == "of another time" && !a.Resolved.IsZero() }); i < 0 {
		t.Error("what is not among all that last is not over")
	}
	if len(here) == 0 {
		t.Error("nothing is over")
	}
	for _, a := range here {
		if !slices.ContainsFunc(there, func(o store.Alert) bool { return cmp.Equal(a, o) }) {
			t.Errorf("%+v is over, and there it is not: %+v", a, there)
		}
	}
	changes, err := b.s.Changes(b.ctx, store.Everything(), other, 0, 1000)
	b.ok(err)
	ops := map[string]bool{}
	for _, c := range changes.Changes {
		ops[c.Op] = true
	}
	for _, op := range []string{"added", "raised", "changed", "revised", "resolved", "reopened"} {
		if !ops[op] {
			t.Errorf("no alert was %s", op)
		}
	}
	b.check()
}

// testManyAlerts: of a state that takes several transactions all is kept; of what was over and is not known
// what is too old is left out, and what is known is kept.
func testManyAlerts(t *testing.T, p Place) {
	b := open(t, p)
	b.ok(b.s.PushWhole(b.ctx, other, "staging", at(0), "s/0", store.Delta{}))
	var states store.AlertStates
	for i := range 2500 {
		states.Alerts = append(states.Alerts, store.Alert{Key: fmt.Sprint("k", i), Kind: store.AlertFinding, First: at(1), Last: at(2), Times: 2})
	}
	keep := func(number int, since time.Time, s store.AlertStates) {
		t.Helper()
		b.ok(b.s.PushAlerts(b.ctx, other, at(10+number), fmt.Sprint("s/", number-1), fmt.Sprint("s/", number), s, since))
	}
	states.All = true
	keep(1, time.Time{}, states)
	if got := b.alertsOf(other, store.Open); len(got) != 2500 || got[2499].Key != "k0" || got[0].Times != 2 {
		t.Fatalf("%d alerts last, the last of them %+v", len(got), got[len(got)-1])
	}
	old := store.AlertStates{All: true, Alerts: []store.Alert{
		{Key: "k7", First: at(1), Last: at(2), Times: 2, Resolved: at(3)},
		{Key: "unknown", First: at(1), Last: at(2), Times: 2, Resolved: at(3)},
		{Key: "late", First: at(1), Last: at(2), Times: 2, Resolved: at(6)},
	}}
	keep(2, at(5), old)
	if got := b.alertsOf(other, store.Open); len(got) != 0 {
		t.Errorf("%d alerts last that do not", len(got))
	}
	var keys []string
	for _, a := range b.alertsOf(other, store.Gone) {
		if !a.Resolved.Equal(at(12)) {
			keys = append(keys, a.Key+" "+a.Resolved.Sub(at(0)).String())
		}
	}
	if got := strings.Join(keys, ", "); got != "late 6m0s, k7 3m0s" {
		t.Errorf("over before: %s", got)
	}
	c, err := b.s.Cluster(b.ctx, other)
	b.ok(err)
	if !c.Heard.Equal(at(0)) {
		t.Errorf("alerts say that the cluster was heard of at %s", c.Heard)
	}
	// They go as what was resolved here goes: by when it was told here.
	pruned, err := b.s.Prune(b.ctx, other, at(13))
	b.ok(err)
	if pruned.Alerts != 2501 || len(b.alertsOf(other, store.All)) != 0 {
		t.Errorf("%d alerts were removed", pruned.Alerts)
	}
	b.check()
}

// change is the number of a cluster's last change.
func (b *bench) change(cluster string) int64 {
	b.Helper()
	c, err := b.s.Cluster(b.ctx, cluster)
	b.ok(err)
	return c.Seq
}
