package admission

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	psatest "k8s.io/pod-security-admission/test"

	"github.com/baileyhq/bailey"
)

// TestMatchesAgreesWithTheServer compares rule matching with the API server's
// own, on every combination of some rules and requests.
func TestMatchesAgreesWithTheServer(t *testing.T) {
	scopes := []*admissionv1.ScopeType{nil}
	for _, s := range []admissionv1.ScopeType{admissionv1.AllScopes, admissionv1.NamespacedScope, admissionv1.ClusterScope} {
		scopes = append(scopes, &s)
	}
	targets := append([]Target{CreatePod, UpdatePod, UpdateEphemeral,
		{"", "v1", "pods", "exec", admissionv1.Connect, false},
		{"", "v1", "namespaces", "", admissionv1.Create, true},
		{"rbac.authorization.k8s.io", "v1", "clusterroles", "", admissionv1.Delete, true},
	}, workloadsCreated...)
	tried, matched := 0, 0
	for _, groups := range [][]string{{""}, {"*"}, {"apps", "batch"}, {"rbac.authorization.k8s.io"}} {
		for _, versions := range [][]string{{"v1"}, {"*"}, {"v1beta1"}} {
			for _, operations := range [][]admissionv1.OperationType{{"*"}, {"CREATE"}, {"CREATE", "UPDATE"}, {"CONNECT", "DELETE"}} {
				for _, resources := range [][]string{{"pods"}, {"*"}, {"*/*"}, {"pods/*"}, {"*/exec"}, {"deployments", "pods/ephemeralcontainers"}, {"namespaces", "clusterroles"}} {
					for _, scope := range scopes {
						rule := admissionv1.RuleWithOperations{Operations: operations, Rule: admissionv1.Rule{APIGroups: groups, APIVersions: versions, Resources: resources, Scope: scope}}
						for _, target := range targets {
							namespace := "shop"
							if target.ClusterWide && target.Resource != "namespaces" {
								namespace = ""
							}
							attributes := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, namespace, "x",
								schema.GroupVersionResource{Group: target.Group, Version: target.Version, Resource: target.Resource},
								target.Subresource, admission.Operation(target.Operation), nil, false, nil)
							matcher := rules.Matcher{Rule: rule, Attr: attributes}
							tried++
							want := matcher.Matches()
							if want {
								matched++
							}
							if got := matches(&rule, target); got != want {
								t.Errorf("%+v on %+v: %v, the server says %v", rule, target, got, want)
							}
						}
					}
				}
			}
		}
	}
	if tried < 10000 || matched < 500 {
		t.Errorf("%d pairs, %d of them match: too few to show anything", tried, matched)
	}
}

func TestGateExcludes(t *testing.T) {
	every := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}}
	pods := every
	pods.Resources = []string{"pods"}
	one := admissionv1.NamedRuleWithOperations{ResourceNames: []string{"x"}, RuleWithOperations: pods}
	g := gateOf(&admissionv1.MatchResources{
		ResourceRules:        []admissionv1.NamedRuleWithOperations{{RuleWithOperations: every}},
		ExcludeResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: pods}},
	})
	if g.Looks(CreatePod) || !g.Looks(UpdateEphemeral) {
		t.Error("excluded rules are not heeded")
	}
	g = gateOf(&admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: every}}, ExcludeResourceRules: []admissionv1.NamedRuleWithOperations{one}})
	if !g.Looks(CreatePod) {
		t.Error("a rule that excludes one name excludes all")
	}
	g = gateOf(&admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{one}})
	if g.Looks(CreatePod) {
		t.Error("a rule for one name looks at all")
	}
	b := binding("b", nil)
	if !b.Looks(CreatePod) || !b.BuiltIn() {
		t.Error("a binding without rules does not look at what its policy looks at")
	}
}

func gateOf(m *admissionv1.MatchResources) *Gate {
	g := policyGate("p", m, nil, nil)
	return &g
}

func TestGatePaths(t *testing.T) {
	f := &bailey.Fact{Object: &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{{Name: "a.example"}, {Name: "b.example"}}}}
	g := Gates(f)[1]
	field := g.Selector("namespaceSelector")
	if field != "webhooks[1].namespaceSelector" || g.Named(field) != "webhooks[b.example].namespaceSelector" || g.Pointer(field) != "/webhooks/1/namespaceSelector" {
		t.Errorf("%s, %s, %s", field, g.Named(field), g.Pointer(field))
	}
	f = &bailey.Fact{Object: &admissionv1.MutatingAdmissionPolicy{}}
	g = Gates(f)[0]
	field = g.Selector("objectSelector")
	if field != "spec.matchConstraints.objectSelector" || g.Named(field) != field || g.Pointer(g.Field("failurePolicy")) != "/spec/failurePolicy" {
		t.Errorf("%s, %s", field, g.Named(field))
	}
}

func TestOptOutAndIn(t *testing.T) {
	s := func(key string, op metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	for _, c := range []struct {
		s       *metav1.LabelSelector
		out, in string
	}{
		{nil, "", ""},
		{&metav1.LabelSelector{}, "", ""},
		{s("a", "DoesNotExist"), "a", ""},
		{s("a", "NotIn", "off"), "a=off", ""},
		{s("a", "NotIn", "off", "no"), "a", ""},
		{s("fixed", "NotIn", "kube-system"), "", ""},
		{s("a", "Exists"), "", "a"},
		{s("a", "In", "on"), "", "a"},
		{&metav1.LabelSelector{MatchLabels: map[string]string{"b": "1", "a": "1"}}, "", "a"},
	} {
		if out, in := OptOut(c.s, "fixed"), OptIn(c.s); out != c.out || in != c.in {
			t.Errorf("%v: out %q, in %q; want %q, %q", c.s, out, in, c.out, c.in)
		}
	}
}

// TestRefusesAgreesWithUpstream compares with the upstream evaluator on the
// pods of its own test data, at every version and both levels.
func TestRefusesAgreesWithUpstream(t *testing.T) {
	upstream, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]*corev1.Pod{}
	for minor := range bailey.LatestVersion.Minor + 1 {
		for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
			pod, err := psatest.GetMinimalValidPod(level, api.MajorMinorVersion(1, minor))
			if err != nil {
				t.Fatal(err)
			}
			pods[fmt.Sprintf("%s at 1.%d", level, minor)] = pod
		}
	}
	spoil(pods)
	refused := 0
	for name, pod := range pods {
		for minor := range bailey.LatestVersion.Minor + 1 {
			for _, level := range []api.Level{api.LevelPrivileged, api.LevelBaseline, api.LevelRestricted} {
				want := policy.AggregateCheckResults(upstream.EvaluatePod(api.LevelVersion{Level: level, Version: api.MajorMinorVersion(1, minor)}, &pod.ObjectMeta, &pod.Spec))
				got := Refuses(level, bailey.Version{Major: 1, Minor: minor}, &pod.ObjectMeta, &pod.Spec)
				if (got == "") != want.Allowed {
					t.Errorf("%s judged by %s at 1.%d: %q, upstream says %v %v", name, level, minor, got, want.Allowed, want.ForbiddenReasons)
				}
				if got != "" {
					refused++
				}
			}
		}
	}
	if refused < 1000 {
		t.Errorf("only %d pods were refused", refused)
	}
}

// spoil adds to the pods a copy of each for each of some faults.
func spoil(pods map[string]*corev1.Pod) {
	yes, root, unmasked := true, int64(0), corev1.UnmaskedProcMount
	for _, name := range slices.Collect(maps.Keys(pods)) {
		pod := pods[name]
		for fault, do := range map[string]func(*corev1.Pod, *corev1.Container){
			"privileged": func(_ *corev1.Pod, c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
			},
			"root": func(_ *corev1.Pod, c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{RunAsUser: &root}
			},
			"proc": func(_ *corev1.Pod, c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{ProcMount: &unmasked}
			},
			"hostPID": func(p *corev1.Pod, _ *corev1.Container) { p.Spec.HostPID = true },
			"annotation": func(p *corev1.Pod, _ *corev1.Container) {
				p.Annotations = map[string]string{"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
			},
			"host volume": func(p *corev1.Pod, _ *corev1.Container) {
				p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}}
			},
			"unconfined": func(p *corev1.Pod, _ *corev1.Container) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: "Unconfined"}}
			},
			"sysctl": func(p *corev1.Pod, _ *corev1.Container) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_forward"}}}
			},
			"init": func(p *corev1.Pod, _ *corev1.Container) {
				p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "i", SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}})
			},
		} {
			copied := pod.DeepCopy()
			do(copied, &copied.Spec.Containers[0])
			pods[name+" "+fault] = copied
		}
	}
}

func TestEnforced(t *testing.T) {
	server := bailey.Version{Major: 1, Minor: 36}
	for _, c := range []struct {
		level, version string
		want           api.Level
		minor          int
	}{
		{"", "", api.LevelPrivileged, 36},
		{"baseline", "", api.LevelBaseline, 36},
		{"restricted", "latest", api.LevelRestricted, 36},
		{"restricted", "v1.24", api.LevelRestricted, 24},
		{"baseline", "v1.99", api.LevelBaseline, 36},
		{"privileged", "v1.24", api.LevelPrivileged, 24},
		{"strict", "", api.LevelRestricted, 36},
		{"baseline", "1.24", api.LevelBaseline, 36},
	} {
		labels := map[string]string{}
		if c.level != "" {
			labels[api.EnforceLevelLabel] = c.level
		}
		if c.version != "" {
			labels[api.EnforceVersionLabel] = c.version
		}
		level, version := Enforced(labels, server)
		if level != c.want || version.Minor != c.minor {
			t.Errorf("%q, %q: %s at %s", c.level, c.version, level, version)
		}
		policy, _ := api.PolicyToEvaluate(labels, api.Policy{Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}})
		if policy.Enforce.Level != level {
			t.Errorf("%q: %s, upstream says %s", c.level, level, policy.Enforce.Level)
		}
	}
}

func TestWords(t *testing.T) {
	words := Words(`object.spec.containers.all(c, !has(c.securityContext))`, `"initContainers" in object.spec`)
	for _, word := range []string{"object", "containers", "securityContext", "initContainers", "c"} {
		if !words[word] {
			t.Errorf("%q is not seen", word)
		}
	}
	if words["ephemeralContainers"] || words[""] {
		t.Error("words that are not there")
	}
}
