package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
)

// TestOrders: what cannot be run is refused at once, and not when its turn comes; orders and refusals
// are kept; one experiment is run alone.
func TestOrders(t *testing.T) {
	r := newRan(t)
	r.orders.Isolated = false
	own, disruptive := "", ""
	for _, c := range controls.All() {
		for _, x := range c.Experiments {
			switch x.Danger {
			case bailey.DangerIsolated:
				own = c.ID + " " + x.Name
			case bailey.DangerDisruptive:
				disruptive = c.ID + " " + x.Name
			}
		}
	}
	of := func(name string, isolated bool) RunOrder {
		control, x, _ := strings.Cut(name, " ")
		return RunOrder{Controls: []string{control}, Experiment: x, Isolated: isolated}
	}
	for what, test := range map[string]struct {
		order RunOrder
		says  string
	}{
		"isolated":                  {RunOrder{Isolated: true}, "bailey serve --isolated --context NAME"},
		"one that is isolated":      {of(own, true), "bailey serve --isolated --context NAME"},
		"an unknown control":        {RunOrder{Controls: []string{"no/such"}}, `no control "no/such"`},
		"an unknown experiment":     {of("compute/pod-security none", false), `compute/pod-security has no experiment "none"`},
		"one of no control":         {RunOrder{Experiment: "x"}, "the one control"},
		"isolated, and not allowed": {of(own, false), "makes objects of its own"},
		"disruptive":                {of(disruptive, false), "--allow-disruptive"},
	} {
		if _, err := r.orders.Order(t.Context(), "me", test.order); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ordered := make(chan RunOrder, 1)
	r.Prove = func(_ context.Context, o RunOrder, p Progress) ([]bailey.Evidence, error) {
		ordered <- o
		p.Showed(bailey.Evidence{Control: "compute/pod-security", Experiment: o.Experiment})
		return nil, nil
	}
	defer r.start(t)()
	one := RunOrder{Controls: []string{"compute/pod-security"}, Experiment: controls.All()[slices.IndexFunc(controls.All(), func(c *bailey.Control) bool { return c.ID == "compute/pod-security" })].Experiments[0].Name}
	id, err := r.orders.Order(t.Context(), "me", one)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-ordered; got.String() != one.String() {
		t.Errorf("%s was run, of an order of %s", got, one)
	}
	run := r.await(t, id, store.RunDone)
	if shown := runOf(&run); shown.Experiment != one.Experiment || len(shown.Experiments) != 1 {
		t.Errorf("%+v", shown)
	}
	kept, err := r.store.Actions(t.Context(), store.AuditQuery{Cluster: ranUID, Access: store.Everything()})
	if err != nil || len(kept.Items) != 8 || kept.Items[0].Target != id+": "+one.String() || kept.Items[0].Outcome != "done" {
		t.Fatalf("%v: %+v", err, kept.Items)
	}
	for _, a := range kept.Items[1:] {
		if a.Who != "me" || a.Action != ActOrderRun || !strings.HasPrefix(a.Outcome, "refused: ") || strings.Contains(a.Outcome, ErrBadInput.Error()) {
			t.Errorf("%+v", a)
		}
	}
}

// TestRefusals: who is refused again and again fills no history, and keeps nobody else's out of it.
func TestRefusals(t *testing.T) {
	r := newRan(t)
	d, now := r.orders.Deeds, time.Now()
	d.Now = func() time.Time { return now }
	for range 1000 {
		d.Did(t.Context(), ranUID, "mallory", ActStopRun, strings.Repeat("x", 5000), ErrForbidden)
	}
	d.Did(t.Context(), ranUID, "ada", ActStopRun, "1", ErrForbidden)
	d.Did(t.Context(), ranUID, "mallory", ActStopRun, "2", nil)
	d.Did(t.Context(), ranUID, "mallory", ActStopRun, "3", ErrUnavailable)
	now = now.Add(2 * refusalEvery)
	for range 10 {
		d.Did(t.Context(), ranUID, "mallory", ActStopRun, "4", ErrForbidden)
	}
	kept, err := r.store.Actions(t.Context(), store.AuditQuery{Cluster: ranUID, Access: store.Everything(), Limit: 1000})
	count := map[string]int{}
	for _, a := range kept.Items {
		count[a.Who+": "+a.Outcome]++
		if len(a.Target) > deedTargetMost+3 {
			t.Errorf("a target of %d bytes", len(a.Target))
		}
	}
	if err != nil || count["mallory: refused: no right to it"] != refusalsAtOnce+2 || count["ada: refused: no right to it"] != 1 || count["mallory: done"] != 1 || len(kept.Items) != refusalsAtOnce+4 {
		t.Errorf("%v: %v", err, count)
	}
}
