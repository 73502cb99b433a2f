package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestGuardsLive(t *testing.T) {
	cluster := devclustertest.Own(t)
	controltest.GuardsLive(t, cluster, ServiceAccounts, Authorization)
	t.Run(nodePathsRefused.Name, func(t *testing.T) {
		namespace := devclustertest.NamespaceIn(t, cluster, nil)
		s := mountsSnapshot(t, cluster, namespace)
		run := func() []*prove.Record {
			return provetest.Run(t, cluster, APIBypass, provetest.Options{Only: []string{mountsRefused.Name}, Snapshot: s})
		}
		provetest.Want(t, run(), map[string]prove.Outcome{"*": prove.Unclaimed})
		controltest.Install(t, cluster, s, nodePathsRefused)
		waitHeld(t, run, "mirror pod of no node, namespace "+namespace+" (create pods/mirror)")
		records := run()
		provetest.AllHeld(t, records)
		if n := len(provetest.Outcomes(records)); n < 12 || !strings.Contains(provetest.Text(records), "hostPath /,") {
			t.Errorf("%d probes: %s", n, provetest.Text(records))
		}
	})
	t.Run("certificate requests", func(t *testing.T) { certificateGuards(t, cluster) })
	t.Run("bootstrap", func(t *testing.T) { bootstrapUntouched(t, cluster) })
}

// certificateGuards wants the experiments of access/certificate-signing to hold with the
// guards in place, and the controller manager to approve and sign for kubelets as before.
func certificateGuards(t *testing.T, cluster *devcluster.Cluster) {
	s := provetest.Collect(t, cluster)
	if p := provetest.Plan(t, cluster, CertificateSigning, provetest.Options{Only: []string{requestsGranted.Name}}); len(p.Units) > 0 {
		t.Errorf("%d units without a policy", len(p.Units))
	}
	for _, g := range CertificateSigning.Guards {
		controltest.Install(t, cluster, s, g)
	}
	run := func() []*prove.Record {
		return provetest.Run(t, cluster, CertificateSigning, provetest.Options{Repeat: 1})
	}
	waitHeld(t, run, "ask for ten days (create certificatesigningrequests)")
	records := run()
	provetest.AllHeld(t, records)
	if n := len(provetest.Outcomes(records)); n < 14 {
		t.Errorf("%d probes: %s", n, provetest.Text(records))
	}
	for _, as := range []struct {
		user, group string
	}{{"system:bootstrap:abcdef", "system:bootstrappers"}, {"system:node:joined", "system:nodes"}} {
		signedForKubelet(t, cluster, as.user, as.group)
	}
}

// signedForKubelet asks for a kubelet's client certificate as a node that joins, or
// renews, and waits until the control plane has approved and signed it.
func signedForKubelet(t *testing.T, cluster *devcluster.Cluster, user, group string) {
	t.Helper()
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	role := "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
	if group == "system:nodes" {
		role = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"
	}
	name := "guarded-" + strings.ReplaceAll(user, ":", "-")
	binding := map[string]any{"metadata": map[string]any{"name": name},
		"roleRef":  map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": role},
		"subjects": []any{map[string]any{"apiGroup": rbacGroup, "kind": "Group", "name": group}}}
	makes := map[string]any{"metadata": map[string]any{"name": name + "-asks"},
		"roleRef":  map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": "system:node-bootstrapper"},
		"subjects": []any{map[string]any{"apiGroup": rbacGroup, "kind": "Group", "name": group}}}
	for _, o := range []map[string]any{binding, makes} {
		if err := cluster.Do(t.Context(), http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", o, nil); err != nil {
			t.Fatal(err)
		}
	}
	client, err := cluster.HTTPClientFor(user, group)
	if err != nil {
		t.Fatal(err)
	}
	o := map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{
		"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "request": kubeletRequest(t, "joined"), "usages": []any{"client auth", "digital signature"}}}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if err = cluster.DoAs(t.Context(), client, http.MethodPost, path, o, nil); err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s cannot ask: %v", user, err)
		}
	}
	t.Cleanup(func() {
		if err := cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, path+"/"+name, nil, nil); err != nil {
			t.Error(err)
		}
	})
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var got struct{ Status struct{ Certificate string } }
		if err := cluster.Do(t.Context(), http.MethodGet, path+"/"+name, nil, &got); err != nil {
			t.Fatal(err)
		}
		if got.Status.Certificate != "" {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("what %s asked for was not signed", user)
		}
	}
}

// kubeletRequest is a request, as PEM in base64, for the client certificate of the node.
func kubeletRequest(t *testing.T, node string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
}

// bootstrapUntouched puts the guards about roles in place, as they are, takes away and
// alters roles of the API server, and wants the next start to mend them.
func bootstrapUntouched(t *testing.T, cluster *devcluster.Cluster) {
	const path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/"
	const gone, altered = "system:controller:generic-garbage-collector", "system:kubelet-api-admin"
	s := provetest.Collect(t, cluster)
	for _, g := range []*bailey.Guard{rolesContained, clusterRolesContained, clusterAdminKept} {
		controltest.Install(t, cluster, s, g)
	}
	if err := cluster.Do(t.Context(), http.MethodDelete, path+gone, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Do(t.Context(), http.MethodPatch, path+altered, map[string]any{"rules": []any{}}, nil); err != nil {
		t.Fatal(err)
	}
	wide := map[string]any{"metadata": map[string]any{"name": "wide"}, "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": []any{"*"}}}}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if err := cluster.Do(t.Context(), http.MethodPost, strings.TrimSuffix(path, "/")+"?dryRun=All", wide, nil); err != nil && strings.Contains(err.Error(), "cluster-roles-contained") {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the policy is not in force")
		}
	}
	for _, name := range []string{gone, "system:controller:of-my-own"} { // a name, or a label, is anybody's
		wide["metadata"] = map[string]any{"name": name, "labels": map[string]any{"kubernetes.io/bootstrapping": "rbac-defaults"}}
		if err := cluster.Do(t.Context(), http.MethodPost, strings.TrimSuffix(path, "/")+"?dryRun=All", wide, nil); err == nil || !strings.Contains(err.Error(), "cluster-roles-contained") {
			t.Errorf("a ClusterRole %s that allows everything: %v", name, err)
		}
	}
	if err := cluster.RestartAPIServer(t.Context(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{gone, altered} {
		for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
			var role struct{ Rules []json.RawMessage }
			if err := cluster.Do(t.Context(), http.MethodGet, path+name, nil, &role); err == nil && len(role.Rules) > 0 {
				break
			}
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%s was not mended", name)
			}
		}
	}
}
