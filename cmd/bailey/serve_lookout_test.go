package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// receiver is where alerts are delivered, and whoever is called while all is well.
type receiver struct {
	mu    sync.Mutex
	told  []string // key and state of each alert that came
	alive int
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.URL.Path == "/alive" {
		r.alive++
		return
	}
	var b server.WebhookBody
	if err := json.NewDecoder(q.Body).Decode(&b); err != nil {
		r.told = append(r.told, err.Error())
	}
	for _, g := range b.Groups {
		for _, a := range g.Alerts {
			r.told = append(r.told, a.Key+" "+a.State)
		}
	}
}

// calls counts the calls while all is well.
func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alive
}

// of lists what came of an alert.
func (r *receiver) of(key string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, line := range r.told {
		if state, found := strings.CutPrefix(line, key+" "); found {
			all = append(all, state)
		}
	}
	return all
}

// inside is a replica in this process, by a clock that the test sets.
type inside struct {
	*servedProcess
	end  func() error
	said *said
}

// said is a text that grows.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), text)
}

func (r *replicas) inside(t *testing.T, now func() time.Time, tend tendFlags) *inside {
	t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	p := &inside{servedProcess: &servedProcess{url: "http://" + address}, said: &said{}}
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: p.said, quiet: true, now: now}
	f := &serveFlags{data: filepath.Join(t.TempDir(), "data"), listen: address, rate: prove.DefaultRate, tend: tend, replicate: true, leaseNamespace: "default", database: r.file}
	f.target.kubeconfig = r.cluster.Kubeconfig
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.serve(ctx, f) }()
	p.end = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.said.text.String())
		}
	})
	awaitWithin(t, 2*time.Minute, "it is ready", func() bool { code, _ := p.get(t, "/readyz", ""); return code == http.StatusOK })
	return p
}

func (p *inside) metric(t *testing.T, line string) bool {
	_, body := p.get(t, "/metrics", "")
	return strings.Contains(body, "\n"+line)
}

// TestReplicasOutOfSight: where no replica reaches the API server one of them tells it, once, also after that one
// ended, and nobody says that all is well; whoever leads then tells that it is over, once. Nothing else is written.
func TestReplicasOutOfSight(t *testing.T) {
	t.Parallel() // it mostly waits
	const key = "staleness/sight"
	r := startReplicas(t)
	told := &receiver{}
	hook := httptest.NewServer(told)
	defer hook.Close()
	folder := t.TempDir()
	tend := tendFlags{keep: leastKept, severity: "high", webhook: filepath.Join(folder, "webhook"), deadMan: filepath.Join(folder, "dead-man")}
	for path, address := range map[string]string{tend.webhook: hook.URL + "/hook", tend.deadMan: hook.URL + "/alive"} {
		if err := os.WriteFile(path, []byte(address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	pass := func(d time.Duration) { ahead.Add(int64(d)) }
	both := []*inside{r.inside(t, now, tend), r.inside(t, now, tend)}
	leads := func(p *inside) bool { return p.metric(t, "bailey_leads 1\n") }
	awaitWithin(t, time.Minute, "one leads", func() bool { return slices.ContainsFunc(both, leads) })
	awaitWithin(t, 2*time.Minute, "somebody is told that all is well", func() bool { return told.calls() > 0 })

	start, err := r.cluster.StopAPIServer(t.Context(), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range both {
		awaitWithin(t, time.Minute, "a replica says that the cluster is out of sight", func() bool { return !p.metric(t, "bailey_out_of_sight_seconds 0\n") })
		awaitWithin(t, time.Minute, "nobody leads", func() bool { return !leads(p) })
	}
	before, err := r.store.Cluster(t.Context(), r.uid)
	if err != nil {
		t.Fatal(err)
	}
	called := told.calls()
	pass(6 * time.Minute)
	took := awaitWithin(t, 3*time.Minute, "the webhook is told", func() bool { return len(told.of(key)) > 0 })
	awaitWithin(t, time.Minute, "that it was told is noted", func() bool {
		a, err := r.store.Alert(t.Context(), store.Everything(), r.uid, key)
		return err == nil && !a.Delivered.IsZero()
	})
	t.Logf("told after five minutes and %s", took.Round(time.Second))

	// Whoever told ends: the other steps in, and does not tell it again.
	const steps = "this one raises and delivers alerts meanwhile"
	first, other := both[0], both[1]
	if other.said.has(steps) {
		first, other = other, first
	}
	if !first.said.has(steps) || other.said.has(steps) {
		t.Fatal("not one of two stepped in")
	}
	if err := first.end(); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, 2*time.Minute, "the other steps in", func() bool { return other.said.has(steps) })
	time.Sleep(20 * time.Second) // it has looked whether to tell it
	if leads(other) {
		t.Error("it says that it leads")
	}
	if n := told.calls(); n != called {
		t.Errorf("while nobody saw the cluster %d were told that all is well", n-called)
	}
	after, err := r.store.Cluster(t.Context(), r.uid)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Heard.Equal(before.Heard) || !after.Judged.Equal(before.Judged) {
		t.Errorf("the cluster was out of sight, and is kept as %+v, before %+v", after, before)
	}
	changes, err := r.store.Changes(t.Context(), store.Everything(), r.uid, before.Seq, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes.Changes {
		if c.Subject != "alert" {
			t.Errorf("written without a leader: %+v", c)
		}
	}

	if err := start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, 2*time.Minute, "it leads", func() bool { return leads(other) })
	awaitWithin(t, time.Minute, "it sees the cluster", func() bool { return other.metric(t, "bailey_out_of_sight_seconds 0\n") })
	if states := told.of(key); len(states) != 1 {
		t.Errorf("the webhook was told %v before it was over", states)
	}
	time.Sleep(20 * time.Second) // it has looked since when the cluster is back
	pass(6 * time.Minute)
	awaitWithin(t, time.Minute, "it is over", func() bool { return len(told.of(key)) > 1 })
	time.Sleep(5 * time.Second)
	if states := told.of(key); !slices.Equal(states, []string{"firing", "resolved"}) {
		t.Errorf("the webhook was told %v", states)
	}
	r.pod(t, "after")
	awaitWithin(t, time.Minute, "changes are kept again", r.kept(t, "after"))
}
