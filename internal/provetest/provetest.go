// Package provetest runs the experiments of a control against a real API server,
// and says what each probe came to. It holds every run to what no experiment may
// miss: nothing is left behind, and no record holds a credential.
//
//	records := provetest.Run(t, cluster, compute.PodSecurity, provetest.Options{Namespace: ns})
//	provetest.AllHeld(t, records)
//
// With a control broken on purpose in one path:
//
//	provetest.Want(t, records, map[string]prove.Outcome{"privileged, ephemeral container": prove.Broken})
package provetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/prove"
)

// runLimit bounds one run, so that a test that hangs says where.
const runLimit = 5 * time.Minute

// Options of a run. The zero value runs every experiment of the control that
// needs no place, at most isolated, twice, in all scopes.
type Options struct {
	// Only are the names of the experiments to run; empty means all.
	Only []string
	// Worst is DangerIsolated if empty.
	Worst  bailey.Danger
	Places []bailey.Place
	// Repeat is 2 if zero.
	Repeat int
	// Namespace, if set, keeps of the units those of the cluster and those whose
	// scope is, or lies in, this namespace.
	Namespace string
	// Config is the prober's; nil means the cluster's administrator.
	Config *rest.Config
	// Snapshot is planned on; nil means that the cluster is read by the administrator.
	Snapshot *bailey.Snapshot
	// Image, PodAPIServer, Etcd and Watchers are those of prove.Options.
	Image, PodAPIServer string
	Etcd                prove.Store
	Watchers            []prove.Watcher
	// Skipped is a part of the reason for which units may be skipped; any other
	// skipped unit fails the test.
	Skipped string
}

// Collect reads the whole cluster as its administrator.
func Collect(t testing.TB, cluster *devcluster.Cluster) *bailey.Snapshot {
	t.Helper()
	s, err := kube.Collect(t.Context(), kube.Options{Kubeconfig: cluster.Kubeconfig, QPS: 500, Burst: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Config gives the administrator's configuration.
func Config(t testing.TB, cluster *devcluster.Cluster) *rest.Config {
	t.Helper()
	config, err := kube.RESTConfig(cluster.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Plan plans what Run would do.
func Plan(t testing.TB, cluster *devcluster.Cluster, control *bailey.Control, o Options) prove.Planned {
	t.Helper()
	if o.Worst == "" {
		o.Worst = bailey.DangerIsolated
	}
	if o.Snapshot == nil {
		o.Snapshot = Collect(t, cluster)
	}
	p := prove.Plan(o.Snapshot, []*bailey.Control{control}, prove.Choice{Worst: o.Worst, Places: o.Places, Only: o.Only})
	p.Units = slices.DeleteFunc(p.Units, func(u prove.Unit) bool {
		at := u.Scope.Object
		return o.Namespace != "" && at != (bailey.Ref{}) && at.Namespace != o.Namespace &&
			(at.Kind != bailey.KindNamespace || at.Name != o.Namespace)
	})
	return p
}

// Run plans the control's experiments on what the cluster holds, runs them, and
// gives the record of each unit in order. A unit that was skipped, or that left
// something behind, fails the test.
func Run(t testing.TB, cluster *devcluster.Cluster, control *bailey.Control, o Options) []*prove.Record {
	t.Helper()
	p := Plan(t, cluster, control, o)
	for _, u := range p.Units {
		if u.Skipped != "" && (o.Skipped == "" || !strings.Contains(u.Skipped, o.Skipped)) {
			t.Fatalf("%s in %s was skipped: %s", u.Experiment.Name, u.Scope, u.Skipped)
		}
	}
	config := o.Config
	if config == nil {
		config = Config(t, cluster)
	}
	if o.Repeat == 0 {
		o.Repeat = 2
	}
	id := prove.NewRunID()
	ran, err := prove.Run(t.Context(), id, p, prove.Options{Config: config, Folder: t.TempDir(), Cluster: "provetest", Version: "test",
		Repeat: o.Repeat, Limit: runLimit, Image: o.Image, PodAPIServer: o.PodAPIServer, Etcd: o.Etcd, Watchers: o.Watchers})
	if err != nil {
		t.Fatalf("run %s: %v", id, err)
	}
	for _, r := range ran.Records {
		if len(r.LeftBehind) > 0 {
			t.Errorf("%s left behind: %s", r.Unit.Experiment.Name, strings.Join(r.LeftBehind, "; "))
		}
		holdsNoSecret(t, r)
	}
	if slices.ContainsFunc(ran.Records, func(r *prove.Record) bool {
		return r.Unit.Experiment.Danger == bailey.DangerIsolated || r.Unit.Experiment.Danger == bailey.DangerDisruptive
	}) {
		NothingLeft(t, cluster, id)
	}
	return ran.Records
}

var secret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.|PRIVATE KEY-----`)

// holdsNoSecret looks for a token or a key in what would be signed.
func holdsNoSecret(t testing.TB, r *prove.Record) {
	t.Helper()
	data, err := json.Marshal([]any{r.Unit.Probes, r.Results, r.Exchanges})
	if err != nil {
		t.Fatal(err)
	}
	if found := secret.Find(data); found != nil {
		t.Errorf("the record of %s holds a credential that begins with %q", r.Unit.Experiment.Name, found[:min(8, len(found))])
	}
}

// NothingLeft wants no object to bear the run's label.
func NothingLeft(t testing.TB, cluster *devcluster.Cluster, run string) {
	t.Helper()
	if left := Left(t, cluster, run); len(left) > 0 {
		t.Errorf("run %s left behind: %s", run, strings.Join(left, ", "))
	}
}

// Left gives the objects of every kind that bear the run's label.
func Left(t testing.TB, cluster *devcluster.Cluster, run string) []string {
	t.Helper()
	config := Config(t, cluster)
	config.QPS, config.Burst = 500, 1000
	served, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := served.ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, group := range groups {
		root := "/apis/" + group.GroupVersion
		if !strings.Contains(group.GroupVersion, "/") {
			root = "/api/" + group.GroupVersion
		}
		for _, resource := range group.APIResources {
			if !slices.Contains(resource.Verbs, "list") {
				continue
			}
			var list struct {
				Items []struct {
					Metadata struct{ Namespace, Name string }
				}
			}
			query := "?labelSelector=" + url.QueryEscape(bailey.RunLabel+"="+run)
			if err := cluster.Do(t.Context(), http.MethodGet, root+"/"+resource.Name+query, nil, &list); err != nil {
				t.Fatalf("list %s: %v", resource.Name, err)
			}
			for _, item := range list.Items {
				left = append(left, resource.Name+" "+item.Metadata.Namespace+"/"+item.Metadata.Name)
			}
		}
	}
	return left
}

// Outcomes gives what each probe came to, by "<name> (<path>)", or "<name>"
// where the path says the same. Of the scopes in which a probe was tried the
// worst outcome stands.
func Outcomes(records []*prove.Record) map[string]prove.Outcome {
	order := []prove.Outcome{prove.Unclaimed, prove.Held, prove.Inconclusive, prove.Broken}
	all := map[string]prove.Outcome{}
	for _, r := range records {
		for i := range r.Results {
			name, outcome := nameOf(&r.Results[i]), r.Results[i].Outcome()
			if before, known := all[name]; !known || slices.Index(order, outcome) > slices.Index(order, before) {
				all[name] = outcome
			}
		}
	}
	return all
}

func nameOf(r *prove.Result) string { return bailey.PathName(r.Name, r.Path) }

// AllHeld wants every probe held in each of its tries, and at least one probe.
func AllHeld(t testing.TB, records []*prove.Record) {
	t.Helper()
	Want(t, records, nil)
}

// Want wants the probes that the patterns name (of path.Match, over the names of
// Outcomes, where "*" stands for slashes too) to have come to the outcomes
// given, and every other probe to have held. Each pattern must name a probe.
func Want(t testing.TB, records []*prove.Record, want map[string]prove.Outcome) {
	t.Helper()
	met := map[string]bool{}
	probes := 0
	for _, r := range records {
		for i := range r.Results {
			result := &r.Results[i]
			probes++
			expected := prove.Held
			for pattern, outcome := range want {
				if matches(t, pattern, nameOf(result)) {
					expected, met[pattern] = outcome, true
				}
			}
			if got := result.Outcome(); got != expected || expected == prove.Held && result.Held != result.Tried {
				t.Errorf("%s in %s: %s: %s (%d of %d held), want %s: %s", r.Unit.Experiment.Name, r.Unit.Scope, nameOf(result),
					got, result.Held, result.Tried, expected, strings.Join(result.Why, "; "))
			}
		}
	}
	if probes == 0 {
		t.Error("no probe was run")
	}
	for pattern := range want {
		if !met[pattern] {
			t.Errorf("no probe is named %q; there are:\n%s", pattern, Text(records))
		}
	}
}

func matches(t testing.TB, pattern, name string) bool {
	t.Helper()
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	ok, err := path.Match(flat(pattern), flat(name))
	if err != nil {
		t.Fatalf("%q: %v", pattern, err)
	}
	return ok
}

// Text gives a line for each probe, with its reasons, for messages.
func Text(records []*prove.Record) string {
	var b strings.Builder
	for _, r := range records {
		for i := range r.Results {
			result := &r.Results[i]
			fmt.Fprintf(&b, "%s in %s: %s: %s %d/%d %s\n", r.Unit.Experiment.Name, r.Unit.Scope, nameOf(result),
				result.Outcome(), result.Held, result.Tried, strings.Join(result.Why, "; "))
		}
	}
	return b.String()
}
