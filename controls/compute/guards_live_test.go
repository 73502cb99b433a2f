package compute

import (
	"net/http"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestGuardsLive(t *testing.T) {
	cluster := devclustertest.Own(t)
	controltest.GuardsLive(t, cluster, Syscalls, Sandbox, Quotas)
	t.Run(levelsKept.Name, func(t *testing.T) { levelsKeptLive(t, cluster) })
}

// levelsKeptLive wants the experiment to claim nothing without the guard, and to hold with
// it; the administrator may lower levels all the same, and everybody may raise them.
func levelsKeptLive(t *testing.T, cluster *devcluster.Cluster) {
	run := func() []*prove.Record {
		return provetest.Run(t, cluster, PodSecurity, provetest.Options{Only: []string{levelsLowered.Name}})
	}
	if p := provetest.Plan(t, cluster, PodSecurity, provetest.Options{Only: []string{levelsLowered.Name}}); len(p.Units) > 0 {
		t.Errorf("%d units without a policy", len(p.Units))
	}
	namespace := devclustertest.NamespaceIn(t, cluster, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
	controltest.Install(t, cluster, provetest.Collect(t, cluster), levelsKept)
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		records := run()
		outcomes := provetest.Outcomes(records)
		broken := 0
		for _, o := range outcomes {
			if o != prove.Held {
				broken++
			}
		}
		if broken == 0 && len(outcomes) == 6 {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("%d of %d probes did not hold:\n%s", broken, len(outcomes), provetest.Text(records))
		}
	}
	label := func(client *http.Client, level any) error {
		return cluster.DoAs(t.Context(), client, http.MethodPatch, "/api/v1/namespaces/"+namespace,
			map[string]any{"metadata": map[string]any{"labels": map[string]any{"pod-security.kubernetes.io/enforce": level}}}, nil)
	}
	ordinary := controltest.WithoutGrants(t, cluster)
	var err error
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(100 * time.Millisecond) { // the authorizer learns of the role
		if err = label(ordinary, "restricted"); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("who may label namespaces cannot raise the level: %v", err)
	}
	if label(ordinary, "baseline") == nil || label(ordinary, nil) == nil {
		t.Error("who holds no grant lowers the level")
	}
	admin, err := cluster.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	if err := label(admin, nil); err != nil {
		t.Errorf("the administrator cannot lower the level: %v", err)
	}
}
