package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/derive/workload"
)

// differences are the lines in which we say something else than np-guard, for
// the reason that docs/disagreements.md gives: it calls a workload protected in a
// direction once a cluster-wide policy has any rule about it, and we only once
// that policy denies by default.
var differences = map[string][]string{
	"exposure_test_with_anp_1": {
		"+hello-world/workload-b[Deployment] Egress", "+hello-world/workload-b[Deployment] Ingress"},
	"exposure_test_with_anp_10_with_real_pod": {"+hello-world/workload-a[Deployment] Egress"},
	"exposure_test_with_anp_12": {
		"+hello-world/workload-a[Deployment] Egress", "+hello-world/workload-a[Deployment] Ingress"},
	"exposure_test_with_anp_3_w_banp": {
		"+hello-world/workload-a[Deployment] Egress", "+hello-world/workload-a[Deployment] Ingress",
		"+hello-world/workload-b[Deployment] Egress", "+hello-world/workload-b[Deployment] Ingress"},
}

// oracles are np-guard's tests: manifests, and what it says of them.
const oracles = "../../../shared/oracles/network"

// TestNPGuard compares which workloads are isolated with what np-guard's tests
// expect, in the section "Workloads not protected by network policies".
func TestNPGuard(t *testing.T) {
	if _, err := os.Stat(oracles); err != nil {
		t.Skipf("np-guard's tests are not there: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(oracles, "expected", "*_exposure_output.txt"))
	if err != nil || len(files) < 35 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), "_exposure_output.txt")
		t.Run(name, func(t *testing.T) {
			want := notProtected(t, file)
			b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
			for _, k := range append(bailey.KnownKinds(), WideKinds...) {
				b.Saw(k, "")
			}
			read, err := manifests.Collect(t.Context(), []string{filepath.Join(oracles, "inputs", name)}, manifests.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range read.Kinds() {
				b.Add(read.List(k, "")...)
			}
			got := unprotected(b.Snapshot())
			var diff []string
			for _, line := range got {
				if !slices.Contains(want, line) {
					diff = append(diff, "+"+line)
				}
			}
			for _, line := range want {
				if line != "" && !slices.Contains(got, line) {
					diff = append(diff, "-"+line)
				}
			}
			if !slices.Equal(diff, differences[name]) {
				t.Errorf("differs from np-guard by\n%s\nwant\n%s", strings.Join(diff, "\n"), strings.Join(differences[name], "\n"))
			}
		})
	}
}

// notProtected reads the section of np-guard's output.
func notProtected(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "not protected by network policies")
	var lines []string
	for line := range strings.Lines(section) {
		if workload, direction, found := strings.Cut(line, " is not protected on "); found {
			lines = append(lines, strings.TrimSpace(workload)+" "+strings.TrimSpace(direction))
		}
	}
	slices.Sort(lines)
	return lines
}

// unprotected lists the workloads that nothing isolates, as np-guard writes them.
func unprotected(s *bailey.Snapshot) []string {
	v := bailey.NewView(s)
	v.Allow(bailey.PodBearing, []bailey.Kind{bailey.KindNetworkPolicy, bailey.KindNamespace}, []*bailey.Derivation{WideIndex})
	wide := v.Derived(WideIndex).(*Wide)
	var lines []string
	for _, k := range bailey.PodBearing {
		for _, f := range s.List(k, "") {
			w, ok := workload.Of(f)
			if !ok || w.Spec.HostNetwork {
				continue
			}
			p := &Pod{Namespace: f.Namespace, Labels: w.Meta.Labels, ServiceAccount: w.Spec.ServiceAccountName,
				NamespaceLabels: func() map[string]string {
					if ns := s.Get(bailey.Ref{Kind: bailey.KindNamespace, Name: f.Namespace}); ns != nil {
						return ns.Labels
					}
					return nil
				}}
			name, kind := f.Name, f.Kind.Short()
			if f.Owner.Name != "" {
				name, kind = f.Owner.Name, f.Owner.Kind.Short()
			}
			for _, d := range []Direction{Egress, Ingress} {
				if !slices.ContainsFunc(v.List(bailey.KindNetworkPolicy, f.Namespace), func(n *bailey.Fact) bool { return Covers(n, w.Meta.Labels, d) }) && !wide.Covers(p, d) {
					lines = append(lines, f.Namespace+"/"+name+"["+kind+"] "+strings.ToUpper(string(d[:1]))+string(d[1:]))
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// TestMatchesAgreesWithUpstream compares the matcher with apimachinery's on
// every pair of some selectors and label sets.
func TestMatchesAgreesWithUpstream(t *testing.T) {
	var selectors []metav1.LabelSelector
	for _, match := range []map[string]string{nil, {"a": "1"}, {"a": ""}, {"a": "1", "b": "2"}} {
		selectors = append(selectors, metav1.LabelSelector{MatchLabels: match})
		for _, op := range []metav1.LabelSelectorOperator{"In", "NotIn"} {
			for _, values := range [][]string{{"1"}, {"1", ""}, {"2", "3"}} {
				selectors = append(selectors, metav1.LabelSelector{MatchLabels: match, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: op, Values: values}}})
			}
		}
		for _, op := range []metav1.LabelSelectorOperator{"Exists", "DoesNotExist"} {
			selectors = append(selectors, metav1.LabelSelector{MatchLabels: match, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: op}, {Key: "c", Operator: "DoesNotExist"}}})
		}
	}
	tried := 0
	for _, s := range selectors {
		upstream, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []map[string]string{nil, {"a": "1"}, {"a": ""}, {"b": "1"}, {"b": ""}, {"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "x"}} {
			tried++
			if got, want := Matches(&s, set), upstream.Matches(labels.Set(set)); got != want {
				t.Errorf("Matches(%v, %v) = %v, want %v", s, set, got, want)
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d pairs", tried)
	}
	if Matches(nil, nil) || Matches(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}, map[string]string{"a": "1"}) {
		t.Error("a nil selector or an unknown operator matches")
	}
	if !MatchesNamespace(&metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: "shop"}}, "shop", nil) {
		t.Error("the name of a namespace is not taken for its label")
	}
}

func TestMatchesAllocatesNothing(t *testing.T) {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: "In", Values: []string{"x", "y"}}}}
	set := map[string]string{"a": "1", "b": "y"}
	if n := testing.AllocsPerRun(100, func() { Matches(s, set) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIsolates(t *testing.T) {
	rule := []networkingv1.NetworkPolicyEgressRule{{}}
	for _, c := range []struct {
		spec            networkingv1.NetworkPolicySpec
		ingress, egress bool
	}{
		{networkingv1.NetworkPolicySpec{}, true, false},
		{networkingv1.NetworkPolicySpec{Egress: rule}, true, true},
		{networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"}, Egress: rule}, true, false},
		{networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Egress"}}, false, true},
		{networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Egress", "Ingress"}}, true, true},
	} {
		p := &networkingv1.NetworkPolicy{Spec: c.spec}
		if Isolates(p, Ingress) != c.ingress || Isolates(p, Egress) != c.egress {
			t.Errorf("%+v: ingress %v, egress %v", c.spec, Isolates(p, Ingress), Isolates(p, Egress))
		}
	}
}

func TestRulesOpen(t *testing.T) {
	empty := &metav1.LabelSelector{}
	some := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}
	block := func(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
	}
	metadata := netip.MustParseAddr("169.254.169.254")
	for _, c := range []struct {
		name     string
		peers    []networkingv1.NetworkPolicyPeer
		reach    Reach
		metadata bool
	}{
		{"nobody named", nil, ReachAll, true},
		{"every address", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/0")}, ReachAll, true},
		{"every IPv6 address", []networkingv1.NetworkPolicyPeer{block("::/0")}, ReachAll, false},
		{"all but one", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/0", "169.254.0.0/16")}, ReachAll, false},
		{"all but another", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/0", "10.0.0.0/8")}, ReachAll, true},
		{"excepted here, allowed there", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/0", "169.254.169.254/32"), block("169.254.169.254/32")}, ReachAll, true},
		{"two halves", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/1"), block("128.0.0.0/1")}, ReachAll, true},
		{"one half", []networkingv1.NetworkPolicyPeer{block("0.0.0.0/1")}, ReachSome, false},
		{"the private networks", []networkingv1.NetworkPolicyPeer{block("10.0.0.0/8"), block("172.16.0.0/12")}, ReachSome, false},
		{"every namespace", []networkingv1.NetworkPolicyPeer{{NamespaceSelector: empty}}, ReachCluster, false},
		{"every pod of every namespace", []networkingv1.NetworkPolicyPeer{{NamespaceSelector: empty, PodSelector: empty}}, ReachCluster, false},
		{"some pods of every namespace", []networkingv1.NetworkPolicyPeer{{NamespaceSelector: empty, PodSelector: some}}, ReachSome, false},
		{"every pod of this namespace", []networkingv1.NetworkPolicyPeer{{PodSelector: empty}}, ReachSome, false},
		{"not an address", []networkingv1.NetworkPolicyPeer{block("everything")}, ReachSome, false},
	} {
		if got := ReachOf(c.peers); got != c.reach {
			t.Errorf("%s: reach %v, want %v", c.name, got, c.reach)
		}
		if got := AllowsAddress(c.peers, metadata); got != c.metadata {
			t.Errorf("%s: metadata %v, want %v", c.name, got, c.metadata)
		}
	}

	udp, tcp, end, all := corev1.ProtocolUDP, corev1.ProtocolTCP, int32(90), int32(65535)
	port := func(p intstr.IntOrString) *intstr.IntOrString { return &p }
	for _, c := range []struct {
		name    string
		ports   []networkingv1.NetworkPolicyPort
		all, on bool
	}{
		{"none named", nil, true, true},
		{"TCP", []networkingv1.NetworkPolicyPort{{Protocol: &tcp}}, true, true},
		{"UDP", []networkingv1.NetworkPolicyPort{{Protocol: &udp}}, false, false},
		{"443", []networkingv1.NetworkPolicyPort{{Port: port(intstr.FromInt32(443))}}, false, false},
		{"70 to 90", []networkingv1.NetworkPolicyPort{{Port: port(intstr.FromInt32(70)), EndPort: &end}}, false, true},
		{"1 to 65535", []networkingv1.NetworkPolicyPort{{Port: port(intstr.FromInt32(1)), EndPort: &all}}, true, true},
		{"named", []networkingv1.NetworkPolicyPort{{Port: port(intstr.FromString("http"))}}, false, false},
	} {
		if AllPorts(c.ports) != c.all || AllowsPort(c.ports, 80) != c.on {
			t.Errorf("%s: all %v, port 80 %v", c.name, AllPorts(c.ports), AllowsPort(c.ports, 80))
		}
	}
}
