package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// paused stops the leader for 30 seconds, and lets it go on when another leads: it finds out, and
// writes nothing. Both are given back, whoever leads first.
func (r *replicas) paused(t *testing.T, leader, other *replica) (now, was *replica) {
	r.allTold(t)
	leader.signal(t, syscall.SIGSTOP)
	stopped := time.Now()
	r.pod(t, "while-paused")
	t.Logf("from SIGSTOP until a change is kept: %s", awaitWithin(t, time.Minute, "the other goes on", r.kept(t, "while-paused")).Round(10*time.Millisecond))
	time.Sleep(time.Until(stopped.Add(30 * time.Second)))
	// What the paused one was about to write would be found here: it knows nothing of the pod.
	leader.signal(t, syscall.SIGCONT)
	awaitWithin(t, time.Minute, "the paused one leads no more", func() bool { return !leader.leads(t) })
	if !other.leads(t) {
		t.Error("nobody leads")
	}
	r.pod(t, "after-pause")
	awaitWithin(t, 30*time.Second, "the other keeps on", r.kept(t, "after-pause"))
	if !r.kept(t, "while-paused")() {
		t.Error("what was kept while it was paused is gone")
	}
	changes, err := r.store.Changes(t.Context(), store.Everything(), r.uid, 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for after := changes.Next; ; after = changes.Next {
		for _, c := range changes.Changes {
			if c.Subject == "finding" && (c.Op == "gone" || c.Op == "reopened") {
				t.Errorf("a finding came or went that did not: %+v", c)
			}
		}
		if changes, err = r.store.Changes(t.Context(), store.Everything(), r.uid, after, 100_000); err != nil || len(changes.Changes) == 0 {
			break
		}
	}
	r.same(t)
	return other, leader
}

// cutOff has the API server answer nothing for a while: nobody leads, both answer, and say that
// what they show is old.
func (r *replicas) cutOff(t *testing.T, one, two *replica) {
	r.allTold(t)
	api, err := os.FindProcess(r.cluster.PIDs()["kube-apiserver"])
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			_ = api.Signal(syscall.SIGCONT)
		}
	}
	t.Cleanup(resume)
	awaitWithin(t, time.Minute, "nobody leads", func() bool { return !one.leads(t) && !two.leads(t) })
	for _, p := range []*replica{one, two} {
		awaitWithin(t, 3*time.Minute, "a replica says that what it shows is old", func() bool {
			code, body := p.get(t, "/api/v1/status", p.token)
			var sight server.Sight
			return code == http.StatusOK && json.Unmarshal([]byte(body), &sight) == nil && (sight.Kept != nil || sight.Lost != nil && sight.Why != "")
		})
		for path, want := range map[string]int{"/readyz": 200, "/api/v1/findings": 200, "/": 200} {
			if code, body := p.get(t, path, p.token); code != want {
				t.Errorf("%s: %d %.300s", path, code, body)
			}
		}
		if p.leads(t) {
			t.Error("it leads without a lease")
		}
	}
	resume()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.cluster.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, time.Minute, "one leads again", func() bool { return one.leads(t) != two.leads(t) })
	r.pod(t, "after-the-cut")
	awaitWithin(t, 2*time.Minute, "changes are kept again", r.kept(t, "after-the-cut"))
	awaitWithin(t, time.Minute, "nothing is old any more", func() bool {
		_, a := one.get(t, "/api/v1/status", one.token)
		_, b := two.get(t, "/api/v1/status", two.token)
		return !strings.Contains(a, `"lost"`) && !strings.Contains(b, `"lost"`)
	})
	r.same(t)
}
