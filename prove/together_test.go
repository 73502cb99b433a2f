package prove

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove/probe"
)

// TestTogether: probes whose twins and tries are pods do them at the same time; the same twin is
// done once in a round, and what wants the same pod shares one. Real pods are
// tried in controls/network.
func TestTogether(t *testing.T) {
	var mu sync.Mutex
	made := map[string][]string{} // the tasks of each pod, by its name
	total, gone := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := path.Base(r.URL.Path)
		switch {
		case r.Method == http.MethodDelete && !strings.Contains(r.URL.Path, "/pods"):
			gone = true
			_, _ = io.WriteString(w, `{}`)
		case gone:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"reason":"NotFound","message":"gone"}`)
		case !strings.Contains(r.URL.Path, "/pods"):
			_, _ = io.WriteString(w, `{"metadata":{"name":"default","uid":"u"}}`)
		case r.Method == http.MethodPost:
			var pod struct {
				Metadata struct{ Name string }
				Spec     struct{ Containers []struct{ Args []string } }
			}
			_ = json.NewDecoder(r.Body).Decode(&pod)
			args := pod.Spec.Containers[0].Args
			if !strings.HasPrefix(args[1], "--agent=bailey-prober/") || !strings.HasSuffix(args[1], "-001)") {
				t.Errorf("the pod does not learn the experiment's User-Agent: %q", args[1])
			}
			made[pod.Metadata.Name] = args[2:]
			total++
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"metadata":{"name":%q,"uid":"u"}}`, pod.Metadata.Name)
		case r.Method == http.MethodDelete:
			delete(made, name)
			_, _ = io.WriteString(w, `{}`)
		case made[name] == nil:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"reason":"NotFound","message":"gone"}`)
		default:
			var reports []probe.Report
			for _, task := range made[name] {
				reports = append(reports, probe.Report{Accepted: !strings.Contains(task, "closed:"), Refuser: map[bool]bailey.Refuser{true: bailey.RefuserNetwork}[strings.Contains(task, "closed:")]})
			}
			message, _ := json.Marshal(reports)
			_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"uid": "u"}, "status": map[string]any{"phase": "Succeeded",
				"containerStatuses": []any{map[string]any{"state": map[string]any{"terminated": map[string]any{"message": string(message)}}}}}})
		}
	}))
	defer server.Close()
	const namespace = bailey.ProbePrefix + "${run}-a"
	dial := func(pod, label, to string) bailey.Step {
		return bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: to + ":1"},
			In: &bailey.ProbePod{Namespace: namespace, Name: pod, Labels: map[string]string{"role": label}}}}
	}
	try := func(label, to string) bailey.Step {
		step := dial("try", label, to)
		step.Refusers = []bailey.Refuser{bailey.RefuserNetwork}
		return step
	}
	setup := []bailey.Step{{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "namespaces", Real: true,
		Object: map[string]any{"metadata": map[string]any{"name": namespace}}}}}
	probes := []bailey.Probe{
		{Name: "a", Setup: setup, Twin: dial("twin", "free", "open"), Try: try("free", "closed")},
		{Name: "b", Setup: setup, Twin: dial("twin", "free", "open"), Try: try("mute", "closed")},
		{Name: "c", Setup: setup, Twin: dial("twin", "free", "open"), Try: try("mute", "open")},
		{Name: "d", Setup: setup, Twin: dial("twin", "free", "closed"), Try: try("mute", "closed")},
	}
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: bailey.DangerIsolated, Scope: bailey.ScopeCluster,
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return probes }}}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerIsolated})
	ran, _ := Run(t.Context(), "run1", planned, Options{Config: &rest.Config{Host: server.URL}, Folder: t.TempDir(), Repeat: 3, Rate: 10000, Image: "i", Limit: 5 * time.Second})
	if len(ran.Records) != 1 {
		t.Fatalf("%d records", len(ran.Records))
	}
	for i, want := range []Outcome{Held, Held, Broken, Inconclusive} {
		if r := ran.Records[0].Results[i]; r.Outcome() != want {
			t.Errorf("%+v, want %s", r, want)
		}
	}
	if total != 6 || len(made) != 0 {
		t.Errorf("%d pods for 3 rounds of two kinds, %d left", total, len(made))
	}
}
