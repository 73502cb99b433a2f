package prove

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// team is a watcher that was alerted of what bore one of its User-Agents.
type team struct {
	mu      sync.Mutex
	alerted []string
}

func (*team) Name() string { return "team" }

func (w *team) Await(_ context.Context, correlation string, _, _ []string, _ time.Time) (time.Time, bool, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, agent := range w.alerted {
		if strings.Contains(agent, "(run "+correlation+")") {
			return time.Now(), true, "", nil
		}
	}
	return time.Time{}, false, "", nil
}

// TestAlertIsOfItsExperiment: an alert about one experiment's tries does not count for
// another of the same run.
func TestAlertIsOfItsExperiment(t *testing.T) {
	w := &team{}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/namespaces/told/") {
			w.mu.Lock()
			w.alerted = append(w.alerted, r.UserAgent())
			w.mu.Unlock()
		}
		out.Header().Set("Audit-Id", "a")
		_, _ = out.Write([]byte("{}"))
	}))
	defer server.Close()
	experiment := func(name string) *bailey.Experiment {
		step := func(namespace string) bailey.Step {
			return bailey.Step{Refusers: []bailey.Refuser{bailey.RefuserQuota}, Request: &bailey.Request{Verb: "list", APIVersion: "v1", Resource: "pods", Namespace: namespace}}
		}
		return &bailey.Experiment{Name: name, Danger: bailey.DangerNone, Scope: bailey.ScopeCluster, Detections: []string{"some"},
			Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
				return []bailey.Probe{{Name: "p", Path: "p", Twin: step("twin"), Try: step(name)}}
			}}
	}
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{experiment("told"), experiment("silent")}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerNone})
	ran, err := Run(t.Context(), NewRunID(), planned, Options{Config: &rest.Config{Host: server.URL}, Folder: t.TempDir(), Repeat: 1, Rate: 10000, Watchers: []Watcher{w}})
	if err != nil || len(ran.Records) != 2 {
		t.Fatalf("%d records: %v", len(ran.Records), err)
	}
	for _, r := range ran.Records {
		detected := r.Results[0].Detected
		if len(detected) != 1 || detected[0].Found != (r.Unit.Experiment.Name == "told") {
			t.Errorf("%s: %+v", r.Unit.Experiment.Name, detected)
		}
	}
}

// TestWhoIsToNotice: a try that leaves nothing to tell is not waited for; the others of its experiment are.
func TestWhoIsToNotice(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Audit-Id", "a")
		_, _ = out.Write([]byte("{}"))
	}))
	defer server.Close()
	step := bailey.Step{Refusers: []bailey.Refuser{bailey.RefuserQuota}, Request: &bailey.Request{Verb: "list", APIVersion: "v1", Resource: "pods", Namespace: "a"}}
	x := &bailey.Experiment{Name: "x", Danger: bailey.DangerNone, Scope: bailey.ScopeCluster, Detections: []string{"some", "other"},
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
			return []bailey.Probe{
				{Name: "all", Path: "p", Twin: step, Try: step},
				{Name: "one", Path: "p", Twin: step, Try: step, Detections: []string{"other"}},
				{Name: "none", Path: "p", Twin: step, Try: step, Detections: []string{}},
			}
		}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{{ID: "test/a", Experiments: []*bailey.Experiment{x}}}, Choice{Worst: bailey.DangerNone})
	w := &asked{}
	ran, err := Run(t.Context(), NewRunID(), planned, Options{Config: &rest.Config{Host: server.URL}, Folder: t.TempDir(), Repeat: 1, Rate: 10000, Watchers: []Watcher{w}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.detections, "; "); got != "some other; other" {
		t.Errorf("asked for %q", got)
	}
	for i, want := range []int{1, 1, 0} {
		if r := ran.Records[0].Results[i]; len(r.Detected) != want {
			t.Errorf("%s: %+v", r.Name, r.Detected)
		}
	}
}

// asked is a watcher that keeps what it is asked for.
type asked struct{ detections []string }

func (*asked) Name() string { return "asked" }

func (w *asked) Await(_ context.Context, _ string, _, detections []string, _ time.Time) (time.Time, bool, string, error) {
	w.detections = append(w.detections, strings.Join(detections, " "))
	return time.Time{}, false, "", nil
}

// TestRespond: what came of a try is prevention, notice, both or neither, and nothing
// where who noticed is not known.
func TestRespond(t *testing.T) {
	seen, missed, unknown := Detected{Found: true}, Detected{}, Detected{Failure: "the log ended"}
	for _, c := range []struct {
		result   Result
		detected []Detected
		want     Response
	}{
		{Result{Tried: 1, Held: 1}, []Detected{seen}, Both},
		{Result{Tried: 1, Held: 1}, []Detected{missed}, Prevented},
		{Result{Tried: 1, Broken: 1}, []Detected{missed, seen}, Noticed},
		{Result{Tried: 1, Broken: 1}, []Detected{missed}, Neither},
		{Result{Tried: 1, Broken: 1}, []Detected{unknown}, ""},
		{Result{Tried: 1, Broken: 1}, []Detected{missed, unknown}, ""},
		{Result{Tried: 1, Inconclusive: 1}, []Detected{seen}, ""},
		{Result{Tried: 1, Held: 1}, nil, ""},
	} {
		c.result.Detected = c.detected
		if c.result.respond(); c.result.Response != c.want {
			t.Errorf("%+v: %q, want %q", c.detected, c.result.Response, c.want)
		}
	}
}
