package deploy

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

const gated = "gated.example.com" // a label on namespaces: the test's own name

// do sends the object to the shared cluster.
func do(t *testing.T, method, path string, object any) *devcluster.StatusError {
	t.Helper()
	if text, isText := object.(string); isText {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		object = o
	}
	err := devclustertest.Shared(t).Do(t.Context(), method, path, object, nil)
	var status *devcluster.StatusError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return status
}

// create makes a cluster-wide object of admission, and removes it with the test.
func create(t *testing.T, plural, text string) {
	t.Helper()
	path := "/apis/admissionregistration.k8s.io/v1/" + plural
	if err := do(t, http.MethodPost, path, text); err != nil {
		t.Fatal(err)
	}
	var o struct{ Metadata struct{ Name string } }
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	cluster := devclustertest.Shared(t)
	t.Cleanup(func() {
		if err := cluster.Do(t.Context(), http.MethodDelete, path+"/"+o.Metadata.Name, nil, nil); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
}

// ordinaryPod is one that a namespace without Pod Security admits.
func ordinaryPod(extra string) string {
	return `{apiVersion: v1, kind: Pod, metadata: {generateName: p-}, spec: {containers: [{name: c, image: "registry.example/app:1@sha256:` +
		strings.Repeat("0a", 32) + `"` + extra + `}]}}`
}

const privileged = `, securityContext: {privileged: true}`

// gatedNamespaces makes namespaces with the label, the first with a pod.
func gatedNamespaces(t *testing.T, label string, n int) []string {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = devclustertest.Namespace(t, map[string]string{gated: label})
		if err := do(t, http.MethodPost, "/api/v1/namespaces/"+names[i]+"/pods", strings.Replace(ordinaryPod(""), "generateName: p-", "name: app", 1)); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// awaitGate waits until pods are refused as they must be.
func awaitGate(t *testing.T, namespace, pod, message string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s := do(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", pod)
		if s != nil && strings.Contains(s.Message, message) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gate is not in force: %v", s)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func policy(name, rules, conditions, expression string) string {
	return `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: ` + name + `}, spec: {
  matchConstraints: {resourceRules: [` + rules + `]}` + conditions + `,
  validations: [{message: not here, expression: "` + expression + `"}]}}`
}

func bindingFor(name string) string {
	return `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: ` + name + `}, spec: {
  policyName: ` + name + `, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {` + gated + `: ` + name + `}}}}}`
}

const (
	everyPod   = `{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers]}`
	newPods    = `{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}`
	plainOf    = `.all(c, !c.?securityContext.?privileged.orValue(false))`
	everywhere = `object.spec.containers` + plainOf + ` && object.spec.?initContainers.orValue([])` + plainOf + ` && object.spec.?ephemeralContainers.orValue([])` + plainOf
)

// unclaimed are the things that the policies of these tests do not forbid.
func unclaimed(more map[string]prove.Outcome) map[string]prove.Outcome {
	all := map[string]prove.Outcome{"capability*": prove.Unclaimed, "root*": prove.Unclaimed, "hostNetwork*": prove.Unclaimed,
		"hostPID*": prove.Unclaimed, "hostPath*": prove.Unclaimed, "privilege escalation*": prove.Unclaimed}
	maps.Copy(all, more)
	return all
}

func TestProveAdmissionPolicy(t *testing.T) {
	cluster := devclustertest.Shared(t)
	const controller = "system:serviceaccount:kube-system:replicaset-controller"
	for name, c := range map[string]struct{ rules, conditions, expression, broken string }{
		"sound":                {everyPod, "", everywhere, ""},
		"only-new-pods":        {newPods, "", everywhere, "privileged, ephemeral container*"},
		"forgets-init":         {everyPod, "", `object.spec.containers` + plainOf + ` && object.spec.?ephemeralContainers.orValue([])` + plainOf, "privileged, * (create pods/[is][ni]*"},
		"spares-one-namespace": {everyPod, `, matchConditions: [{name: spared, expression: "request.namespace != 'NAMESPACE'"}]`, everywhere, "privileged, container (create pods/containers in NAMESPACE)"},
		"spares-one-identity": {everyPod, `, matchConditions: [{name: spared, expression: "request.userInfo.username != '` + controller + `'"}]`, everywhere,
			"privileged, container, as " + controller + " *"},
		"reads-who-asks": {everyPod, `, matchConditions: [{name: spared, expression: "request.userInfo.username != 'system:admin'"}]`, everywhere, ""},
	} {
		t.Run(name, func(t *testing.T) {
			namespaces := gatedNamespaces(t, name, 2)
			last := max(namespaces[0], namespaces[1]) // the first by name is the home
			first := min(namespaces[0], namespaces[1])
			fill := func(s string) string { return strings.ReplaceAll(s, "NAMESPACE", last) }
			create(t, "validatingadmissionpolicies", policy(name, c.rules, fill(c.conditions), c.expression))
			create(t, "validatingadmissionpolicybindings", bindingFor(name))
			awaitGate(t, first, ordinaryPod(privileged), "not here")
			records := provetest.Run(t, cluster, Admission, provetest.Options{})
			want := unclaimed(nil)
			if c.broken != "" {
				want[fill(c.broken)] = prove.Broken
			}
			provetest.Want(t, records, want)
		})
	}
}

// TestProveAdmissionOfWhatGoesBeside: a gate that demands no more than that privilege
// escalation is switched off forbids neither privileged containers nor capabilities.
func TestProveAdmissionOfWhatGoesBeside(t *testing.T) {
	cluster := devclustertest.Shared(t)
	const off = `.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))`
	ns := gatedNamespaces(t, "escalation", 1)[0]
	create(t, "validatingadmissionpolicies", policy("escalation", everyPod, "",
		`object.spec.containers`+off+` && object.spec.?initContainers.orValue([])`+off+` && object.spec.?ephemeralContainers.orValue([])`+off))
	create(t, "validatingadmissionpolicybindings", bindingFor("escalation"))
	awaitGate(t, ns, ordinaryPod(privileged), "not here")
	// The pod that is there has a container that the gate would not let in any more.
	want := unclaimed(map[string]prove.Outcome{"privileged*": prove.Untold, "privilege escalation, ephemeral*": prove.Inconclusive})
	delete(want, "privilege escalation*")
	provetest.Want(t, provetest.Run(t, cluster, Admission, provetest.Options{}), want)
}

// TestProveAdmissionFullQuota wants no answer where a quota refuses, whatever the
// policy would.
func TestProveAdmissionFullQuota(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := gatedNamespaces(t, "full", 1)[0]
	create(t, "validatingadmissionpolicies", policy("full", everyPod, "", everywhere))
	create(t, "validatingadmissionpolicybindings", bindingFor("full"))
	awaitGate(t, ns, ordinaryPod(privileged), "not here")
	if err := do(t, http.MethodPost, "/api/v1/namespaces/"+ns+"/resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: full}, spec: {hard: {pods: "1"}}}`); err != nil {
		t.Fatal(err)
	}
	awaitGate(t, ns, ordinaryPod(""), "exceeded quota")
	records := provetest.Run(t, cluster, Admission, provetest.Options{})
	for name, outcome := range provetest.Outcomes(records) {
		if outcome != prove.Inconclusive && outcome != prove.Unclaimed || strings.HasPrefix(name, "privileged") && outcome != prove.Inconclusive {
			t.Errorf("%s: %s under a full quota", name, outcome)
		}
	}
}

// withoutTrustPolicy is image identity as far as it needs no trust policy.
func withoutTrustPolicy() *bailey.Control {
	c := *ImageIdentity
	c.Experiments = []*bailey.Experiment{unknownImagesRefused}
	return &c
}

func TestProveAdmissionNothingToTry(t *testing.T) {
	cluster := devclustertest.Shared(t)
	devclustertest.Namespace(t, nil)
	for _, control := range []*bailey.Control{Admission, withoutTrustPolicy()} {
		if p := provetest.Plan(t, cluster, control, provetest.Options{}); len(p.Units) > 0 {
			t.Errorf("%s: %d units without a gate", control.ID, len(p.Units))
		}
	}
}

func TestProveImageIdentity(t *testing.T) {
	cluster := devclustertest.Shared(t)
	const pinned = `.all(c, c.image.contains('@sha256:'))`
	containers := `object.spec.containers` + pinned + ` && object.spec.?initContainers.orValue([])` + pinned + ` && object.spec.?ephemeralContainers.orValue([])` + pinned
	for name, c := range map[string]struct{ rules, expression, broken string }{
		"pinned":         {everyPod, containers + ` && object.spec.?volumes.orValue([]).all(v, !has(v.image) || v.image.reference.contains('@sha256:'))`, ""},
		"forgets-images": {everyPod, containers, "image by a tag, image volume*"},
		"forgets-update": {strings.Replace(everyPod, "resources: [pods, ", "resources: [", 1) + ", " + newPods,
			containers + ` && object.spec.?volumes.orValue([]).all(v, !has(v.image) || v.image.reference.contains('@sha256:'))`, "image by a tag, image of a running pod*"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := gatedNamespaces(t, name, 1)[0]
			create(t, "validatingadmissionpolicies", policy(name, c.rules, "", c.expression))
			create(t, "validatingadmissionpolicybindings", bindingFor(name))
			awaitGate(t, ns, strings.Replace(ordinaryPod(""), "@sha256:"+strings.Repeat("0a", 32), "", 1), "not here")
			want := map[string]prove.Outcome{"image of an unknown registry*": prove.Unclaimed, "unknown digest*": prove.Unclaimed}
			if c.broken != "" {
				want[c.broken] = prove.Broken
			}
			provetest.Want(t, provetest.Run(t, cluster, withoutTrustPolicy(), provetest.Options{}), want)
		})
	}
}
