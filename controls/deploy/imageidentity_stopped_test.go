package deploy

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// TestProveStoppedGate copies the webhook of a gate that fails closed, and of one that fails
// open, in a real API server; and removes the copy of a run that was killed. The gate's own
// configuration spares the namespaces of probes, since no gate runs here that would answer.
func TestProveStoppedGate(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes more than a minute: BAILEY_SOAK=1 runs it")
	}
	cluster := devclustertest.Own(t)
	const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	gate := imagegate.Config{Namespace: "bailey", Service: imagegate.Name}.Validating()
	// Nobody but what the test asks for may meet a gate whose server is not there.
	gate.Webhooks[0].NamespaceSelector.MatchLabels = map[string]string{gated: "never"}
	options := provetest.Options{Only: []string{stoppedGateRefuses.Name}, Worst: bailey.DangerDisruptive}
	for _, u := range provetest.Plan(t, cluster, ImageIdentity, options).Units {
		if len(u.Probes) > 0 {
			t.Errorf("planned without a gate: %+v", u.Probes)
		}
	}
	if err := cluster.Do(t.Context(), http.MethodPost, path, gate, nil); err != nil {
		t.Fatal(err)
	}
	provetest.Want(t, provetest.Run(t, cluster, ImageIdentity, options), nil)

	// What the journal of a killed run lists is removed, the webhook too.
	p := provetest.Plan(t, cluster, ImageIdentity, options)
	folder, kept := t.TempDir(), t.TempDir()
	config := provetest.Config(t, cluster)
	var removed string
	_, err := prove.Run(t.Context(), prove.NewRunID(), p, prove.Options{Config: config, Folder: folder, Cluster: "c", Version: "test", Repeat: 1, Limit: time.Minute,
		Progress: func(prove.Progress) {
			if removed != "" {
				return
			}
			if err := os.CopyFS(kept, os.DirFS(folder)); err != nil {
				t.Error(err)
			}
			reaped, err := prove.Reap(t.Context(), config, kept, "c", prove.DefaultRate, time.Now, nil)
			if err != nil || len(reaped) != 1 {
				t.Errorf("reaped %v: %v", reaped, err)
				return
			}
			removed = strings.Join(reaped[0].Removed, "\n")
		}})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(removed, "validatingwebhookconfigurations") {
		t.Errorf("reaped: %s", removed)
	}
	var left admissionv1.ValidatingWebhookConfigurationList
	if err := cluster.Do(t.Context(), http.MethodGet, path, nil, &left); err != nil || len(left.Items) != 1 {
		t.Errorf("%d configurations are left, want the gate's alone: %v", len(left.Items), err)
	}

	ignore := admissionv1.Ignore
	gate.Webhooks[0].FailurePolicy = &ignore
	if err := cluster.Do(t.Context(), http.MethodDelete, path+"/"+gate.Name, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Do(t.Context(), http.MethodPost, path, gate, nil); err != nil {
		t.Fatal(err)
	}
	provetest.Want(t, provetest.Run(t, cluster, ImageIdentity, options), map[string]prove.Outcome{"new pod*": prove.Broken, "ephemeral container*": prove.Broken})
}
