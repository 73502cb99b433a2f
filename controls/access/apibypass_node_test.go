package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// bypass tries from pods what the prefixes name, on the nodes given: pods take time.
type bypass struct {
	t       *testing.T
	cluster *devcluster.Cluster
	nodes   []*devcluster.Node
	probes  []string
}

func (b bypass) run() []*prove.Record {
	b.t.Helper()
	devclustertest.ImportBailey(b.t, b.cluster, b.nodes...)
	s := provetest.Collect(b.t, b.cluster)
	var others []bailey.Ref
	for _, f := range s.List(bailey.KindNode, "") {
		mine := false
		for _, node := range b.nodes {
			mine = mine || f.Name == node.Name
		}
		if !mine {
			others = append(others, f.Ref)
		}
	}
	some := *closedToPods
	some.Plan = func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		var chosen []bailey.Probe
		for _, p := range closedToPods.Plan(v, scope) {
			for _, prefix := range b.probes {
				if strings.HasPrefix(p.Name, prefix) {
					chosen = append(chosen, p)
					break
				}
			}
		}
		return chosen
	}
	control := *APIBypass
	control.Experiments = []*bailey.Experiment{&some}
	return provetest.Run(b.t, b.cluster, &control, provetest.Options{Places: []bailey.Place{bailey.PlaceNode}, Image: devclustertest.BaileyImage,
		Repeat: 1, Snapshot: s.Without(others...)})
}

// TestBypassFromPods tries a real kubelet that is set right, from pods on its node.
func TestBypassFromPods(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	records := bypass{t, cluster, []*devcluster.Node{node}, []string{"kubelet"}}.run()
	provetest.AllHeld(t, records)
	refusers := map[string]string{}
	for _, e := range records[0].Exchanges {
		if e.Role == "try" {
			refusers[records[0].Results[e.Probe].Name] = e.Refuser
		}
	}
	for name, want := range map[string]bailey.Refuser{
		"kubelet's read-only port, node node1": bailey.RefuserNetwork, "kubelet, node node1": bailey.RefuserAuthentication,
		"kubelet with the pod's token, node node1": bailey.RefuserAuthorization,
	} {
		if refusers[name] != string(want) {
			t.Errorf("%s: refused by %q, want %q", name, refusers[name], want)
		}
	}
}

// TestBypassFromPodsBroken opens one way after the other, on a node of its own.
func TestBypassFromPodsBroken(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes minutes: BAILEY_SOAK=1")
	}
	cluster, first := devclustertest.SharedNode(t)
	open, err := cluster.StartNode(t.Context(), devcluster.NodeOptions{ExtraKubeletConfig: map[string]any{
		"readOnlyPort":   10255,
		"tlsMinVersion":  "VersionTLS11",
		"authentication": map[string]any{"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"cacheTTL": "1ms"}},
		"authorization":  map[string]any{"webhook": map[string]any{"cacheUnauthorizedTTL": "1ms", "cacheAuthorizedTTL": "1ms"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := open.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	on := ", node " + open.Name + " (*)"
	wantFrom(t, cluster, open, map[string]prove.Outcome{"ports-closed": prove.Broken, "kubelet-tls": prove.Broken},
		"kubelet's read-only port, node "+open.Name+"", "TLS 1.1, kubelet of "+open.Name+"")
	kubelets := bypass{t, cluster, []*devcluster.Node{first, open}, []string{"kubelet"}}

	// It takes strangers in, and still asks what they may do.
	provetest.Want(t, kubelets.run(), map[string]prove.Outcome{"kubelet's read-only port" + on: prove.Broken})

	kubelets.nodes, kubelets.probes = []*devcluster.Node{open}, []string{"kubelet,", "kubelet with"}
	grant := func(name, to string) (take func()) {
		t.Helper()
		for _, args := range [][]string{
			{"create", "clusterrole", name, "--verb=get", "--resource=nodes/proxy,nodes/pods"},
			{"create", "clusterrolebinding", name, "--clusterrole=" + name, to},
		} {
			if _, err := cluster.Kubectl(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
		}
		return func() {
			for _, kind := range []string{"clusterrolebinding", "clusterrole"} {
				if _, err := cluster.Kubectl(context.Background(), "delete", kind, name); err != nil {
					t.Error(err)
				}
			}
		}
	}
	take := grant("kubelets-for-strangers", "--user=system:anonymous")
	provetest.Want(t, kubelets.run(), map[string]prove.Outcome{"kubelet" + on: prove.Broken})
	take()
	take = grant("kubelets-for-accounts", "--group=system:serviceaccounts")
	provetest.Want(t, kubelets.run(), map[string]prove.Outcome{"kubelet with the pod's token" + on: prove.Broken})
	take()

	// With the label the node is one of the control plane, and etcd is looked for there.
	if _, err := cluster.Kubectl(t.Context(), "label", "node", open.Name, "node-role.kubernetes.io/control-plane="); err != nil {
		t.Fatal(err)
	}
	hidden := bypass{t, cluster, []*devcluster.Node{open}, []string{"etcd", "controller-manager", "scheduler", "unprotected"}}
	provetest.AllHeld(t, hidden.run())
	hidden.probes = []string{"etcd"}
	stop := runEtcd(t, open, "https", "--cert-file=/etc/kubernetes/pki/kubelet.crt", "--key-file=/etc/kubernetes/pki/kubelet.key")
	provetest.Want(t, hidden.run(), map[string]prove.Outcome{"etcd" + on: prove.Broken})
	stop()
	stop = runEtcd(t, open, "http")
	provetest.Want(t, hidden.run(), map[string]prove.Outcome{"etcd in plain text" + on: prove.Broken, "etcd" + on: prove.Inconclusive}) // it speaks no TLS
	stop()
}

// TestKubeletFromNode runs the prober on a node, from where kubelets can be reached:
// the experiments of other controls that dial them met none from outside.
func TestKubeletFromNode(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	wantFrom(t, cluster, node, map[string]prove.Outcome{"ports-closed": prove.Held, "kubelet-tls": prove.Held})
}

// wantFrom runs the prober on the node against all nodes, and wants its experiments to
// come to the outcomes, and these probes and no other to be broken.
func wantFrom(t *testing.T, cluster *devcluster.Cluster, node *devcluster.Node, want map[string]prove.Outcome, broken ...string) {
	t.Helper()
	program, err := os.ReadFile(devclustertest.Bailey(t, cluster))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := os.ReadFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	admin = bytes.ReplaceAll(admin, []byte(cluster.RESTHost), []byte(node.APIServer))
	for file, content := range map[string][]byte{"bailey": program, "admin.kubeconfig": admin} {
		if err := os.WriteFile(filepath.Join(node.Root, "opt", "bailey", file), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := node.Command(ctx, "/opt/bailey/bailey", "prove", "access/api-server", "access/tls", "--kubeconfig", "/opt/bailey/admin.kubeconfig", "--quick", "-o", "json")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var all struct {
		Results []struct {
			Experiment string
			Outcome    prove.Outcome
			Probes     []prove.Result
		}
	}
	if json.Unmarshal(out, &all) != nil {
		t.Fatalf("%v: %s%s", err, out, errs.String())
	}
	var found []string
	met := 0
	for _, r := range all.Results {
		if outcome, wanted := want[r.Experiment]; wanted {
			met++
			if r.Outcome != outcome {
				t.Errorf("%s is %s, want %s: %+v", r.Experiment, r.Outcome, outcome, r.Probes)
			}
		}
		for i := range r.Probes {
			if r.Probes[i].Outcome() == prove.Broken {
				found = append(found, r.Probes[i].Name+"")
			}
		}
	}
	slices.Sort(found)
	slices.Sort(broken)
	if met != len(want) || !slices.Equal(found, broken) {
		t.Errorf("broken are %q, want %q: %s", found, broken, out)
	}
}

// runEtcd runs on the node an etcd that asks nobody for a certificate, until it is
// stopped.
func runEtcd(t *testing.T, node *devcluster.Node, scheme string, args ...string) (stop func()) {
	t.Helper()
	address := net.JoinHostPort(node.IP, "2379")
	args = append([]string{"-c", `echo $$ >/run/etcd.pid; exec /opt/bailey/controlplane etcd "$@"`, "sh",
		"--data-dir=/tmp/etcd-" + scheme, "--listen-client-urls=" + scheme + "://" + address, "--advertise-client-urls=" + scheme + "://" + address,
		"--listen-peer-urls=http://127.0.0.1:0", "--initial-advertise-peer-urls=http://127.0.0.1:1", "--initial-cluster=default=http://127.0.0.1:1"}, args...)
	cmd := node.Command(context.Background(), "sh", args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := node.Dial(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			break
		}
		if len(ended) > 0 || time.Now().After(limit) {
			t.Fatalf("etcd does not listen: %v", err)
		}
	}
	return func() {
		if err := node.Command(context.Background(), "sh", "-c", "kill -KILL $(cat /run/etcd.pid)").Run(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

// TestStaticPodNoticed puts a file into the folder of static pods, which no probe
// does, and wants the mirror pod that the kubelet then makes to be noticed.
func TestStaticPodNoticed(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	set, err := detect.Compile()
	if err != nil {
		t.Fatal(err)
	}
	from, err := audit.End(cluster.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(node.Root, "etc", "kubernetes", "manifests", "intruder.json")
	manifest := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"intruder","namespace":"default"},"spec":{"containers":[{"name":"a","image":"intruder.invalid/a","imagePullPolicy":"Never"}]}}`
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found := errors.New("noticed")
	err = audit.Tail(ctx, cluster.AuditLog, from, func(line []byte, _ audit.Position) error {
		e, err := detect.Decode(line, detect.DefaultLimits)
		if err != nil {
			return nil
		}
		for _, alert := range set.Match(e) {
			if alert.Detection == "static-pod" && alert.Name == "intruder-"+node.Name && alert.User == "system:node:"+node.Name {
				return found
			}
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Errorf("the static pod was not noticed: %v", err)
	}
}
