package compute

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// The pods of the live tests: containers that state more and less, each kind of
// them, and pods that state something as a whole.
var statingPods = map[string]string{
	"nothing":        `{containers: [{name: c, image: i}]}`,
	"all":            `{containers: [{name: c, image: i, resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 20m, memory: 32Mi}}}]}`,
	"limits":         `{containers: [{name: c, image: i, resources: {limits: {cpu: 20m, memory: 32Mi}}}]}`,
	"requests":       `{containers: [{name: c, image: i, resources: {requests: {cpu: 10m, memory: 16Mi}}}]}`,
	"a CPU request":  `{containers: [{name: c, image: i, resources: {requests: {cpu: 10m}}}]}`,
	"a memory limit": `{containers: [{name: c, image: i, resources: {limits: {memory: 32Mi}}}]}`,
	"an init container states nothing": `{initContainers: [{name: b, image: i}],
		containers: [{name: c, image: i, resources: {limits: {cpu: 20m, memory: 32Mi}}}]}`,
	"a sidecar states half": `{initContainers: [{name: b, image: i, restartPolicy: Always, resources: {limits: {memory: 32Mi}}}],
		containers: [{name: c, image: i, resources: {limits: {cpu: 20m, memory: 32Mi}}}]}`,
	"the pod limits memory": `{resources: {limits: {memory: 512Mi}}, containers: [{name: c, image: i}]}`,
	"the pod requests CPU":  `{resources: {requests: {cpu: "1"}}, containers: [{name: c, image: i}]}`,
	"the pod states all":    `{resources: {requests: {cpu: "1", memory: 256Mi}, limits: {memory: 512Mi}}, containers: [{name: c, image: i}]}`,
}

// TestLimitRangeAgreesWithAPIServer compares, for pods and LimitRanges, the
// containers that Bailey expects to state too little with what the API server,
// asked by dry-run, makes of the pod.
func TestLimitRangeAgreesWithAPIServer(t *testing.T) {
	for name, item := range map[string]string{
		"none":           "",
		"defaults":       `{type: Container, defaultRequest: {cpu: 10m, memory: 16Mi}, default: {memory: 64Mi}}`,
		"a limit alone":  `{type: Container, default: {memory: 64Mi}}`,
		"a maximum":      `{type: Container, max: {memory: 64Mi, cpu: "1"}}`,
		"a minimum":      `{type: Container, min: {cpu: 1m}}`,
		"of pods":        `{type: Pod, max: {cpu: "4"}}`,
		"request of CPU": `{type: Container, defaultRequest: {cpu: 10m}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := devclustertest.Namespace(t, nil)
			var facts []*bailey.Fact
			if item != "" {
				facts = append(facts, createQuotaObject(t, namespace, "limitranges", `{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [`+item+`]}}`))
				waitFor(t, func() string {
					// A pod without a limit violates a maximum before the defaults are known.
					pod, err := dryRunSpec(t, namespace, statingPods["nothing"])
					if name == "of pods" {
						if err != nil && strings.Contains(err.Message, "cpu") {
							return ""
						}
					} else if err == nil && pod.Annotations["kubernetes.io/limit-ranger"] != "" {
						return ""
					}
					return fmt.Sprintf("the LimitRange is not in force: %v", err)
				})
			}
			for stating, spec := range statingPods {
				pod, refused := dryRunSpec(t, namespace, spec)
				if refused != nil {
					if !strings.Contains(refused.Message, "maximum") && !strings.Contains(refused.Message, "minimum") && !strings.Contains(refused.Message, "must be less than or equal to") {
						t.Errorf("%s: %v", stating, refused)
					}
					continue
				}
				asked := filePod(t, namespace, spec)
				v := bailey.NewView(quotaSnapshot(append(facts, asked)...))
				for _, r := range []*bailey.Rule{noRequests, noMemoryLimit} {
					v.Allow(r.On, r.Needs, r.Derives)
					expected := fieldsOf(r.Check(v, asked))
					given := object.Fact(pod.DeepCopy(), "v1", "Pod", bailey.Source{})
					given.UID = "given"
					v.Allow(r.On, r.Needs, r.Derives)
					if got := fieldsOf(r.Check(v, given)); got != expected {
						t.Errorf("%s, %s: Bailey expects %q; of the pod that the server gives back it finds %q", stating, r.Name, expected, got)
					}
				}
			}
		})
	}
}

// TestQuotaRefusesAgreesWithAPIServer compares which pods Bailey expects a
// quota to refuse with those that the API server does, asked by dry-run.
func TestQuotaRefusesAgreesWithAPIServer(t *testing.T) {
	for name, c := range map[string]struct{ hard, item string }{
		"requests":                  {`{requests.cpu: "4", requests.memory: 8Gi}`, ""},
		"limits":                    {`{limits.cpu: "4", limits.memory: 8Gi}`, ""},
		"the short names":           {`{cpu: "4", memory: 8Gi, pods: "10"}`, ""},
		"memory limits":             {`{limits.memory: 8Gi}`, ""},
		"only pods":                 {`{pods: "10"}`, ""},
		"memory and its default":    {`{limits.memory: 8Gi, requests.cpu: "4"}`, `{type: Container, default: {memory: 64Mi}}`},
		"everything and a default":  {`{limits.memory: 8Gi, requests.memory: 8Gi, requests.cpu: "4"}`, `{type: Container, defaultRequest: {cpu: 10m}, default: {memory: 64Mi}}`},
		"limits and a CPU minimum":  {`{limits.cpu: "4", requests.cpu: "4"}`, `{type: Container, min: {cpu: 1m}}`},
		"the guard's own objects":   {`{pods: "10", requests.cpu: "2", requests.memory: 512Mi, limits.memory: 1024Mi}`, `{type: Container, defaultRequest: {cpu: 100m, memory: 128Mi}, default: {memory: 256Mi}}`},
		"ephemeral storage, pinned": {`{requests.ephemeral-storage: 1Gi}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := devclustertest.Namespace(t, nil)
			var facts []*bailey.Fact
			if c.item != "" {
				facts = append(facts, createQuotaObject(t, namespace, "limitranges", `{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [`+c.item+`]}}`))
				waitFor(t, func() string {
					if pod, err := dryRunSpec(t, namespace, statingPods["nothing"]); err == nil && pod.Annotations["kubernetes.io/limit-ranger"] != "" {
						return ""
					}
					return "the LimitRange is not in force"
				})
			}
			quota := createQuotaObject(t, namespace, "resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: `+c.hard+`}}`)
			waitFor(t, func() string {
				var q corev1.ResourceQuota
				if err := devclustertest.Shared(t).Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/resourcequotas/q", nil, &q); err != nil {
					return err.Error()
				}
				if len(q.Status.Used) == 0 {
					return "the quota has no status"
				}
				_, err := dryRunSpec(t, namespace, statingPods["all"])
				if err != nil {
					return err.Error()
				}
				return ""
			})
			agreed := 0
			for stating, spec := range statingPods {
				_, refused := dryRunSpec(t, namespace, spec)
				if refused != nil && !strings.Contains(refused.Message, "must specify") {
					t.Errorf("%s: %v", stating, refused)
					continue
				}
				v := bailey.NewView(quotaSnapshot(append(facts, quota, filePod(t, namespace, spec))...))
				v.Allow(quotaRefuses.On, quotaRefuses.Needs, nil)
				if found := quotaRefuses.Check(v, quota); (len(found) > 0) != (refused != nil) {
					t.Errorf("%s: the server says %v, Bailey %v", stating, refused, found)
				} else {
					agreed++
				}
			}
			if agreed != len(statingPods) {
				t.Errorf("%d of %d pods agree", agreed, len(statingPods))
			}
		})
	}
}

// TestQuotaFixesAreTaken gives the server the objects of the guard.
func TestQuotaFixesAreTaken(t *testing.T) {
	namespace := devclustertest.Namespace(t, nil)
	v := bailey.NewView(quotaSnapshot(filePod(t, namespace, statingPods["requests"])))
	v.Allow(nil, boundedNamespace.Needs, nil)
	changes := boundedNamespace.Objects(v, bailey.Ref{Kind: bailey.KindNamespace, Name: namespace})
	if len(changes) != 2 {
		t.Fatalf("%d changes", len(changes))
	}
	for _, c := range changes {
		plural := strings.ToLower(c.Object.Kind.Short()) + "s"
		if err := devclustertest.Shared(t).Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/"+plural+"?dryRun=All", c.Content, nil); err != nil {
			t.Errorf("%s: %v", c.Object, err)
		}
	}
}

// createQuotaObject makes the object in the namespace and gives it as a fact.
func createQuotaObject(t *testing.T, namespace, plural, text string) *bailey.Fact {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	kind := o["kind"].(string)
	made := object.New("v1", kind)
	if err := devclustertest.Shared(t).Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/"+plural, o, made); err != nil {
		t.Fatal(err)
	}
	return object.Fact(made, "v1", kind, bailey.Source{})
}

// dryRunSpec asks the server, by dry-run, to create a pod with the spec.
func dryRunSpec(t *testing.T, namespace, spec string) (*corev1.Pod, *devcluster.StatusError) {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(`{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: `+spec+`}`), &o); err != nil {
		t.Fatal(err)
	}
	pod := new(corev1.Pod)
	err := devclustertest.Shared(t).Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", o, pod)
	var status *devcluster.StatusError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return pod, status
}

// filePod is the pod as a file would give it.
func filePod(t *testing.T, namespace, spec string) *bailey.Fact {
	t.Helper()
	pod := new(corev1.Pod)
	if err := yaml.UnmarshalStrict([]byte(`{metadata: {name: p, namespace: `+namespace+`}, spec: `+spec+`}`), pod); err != nil {
		t.Fatal(err)
	}
	return object.Fact(pod, "v1", "Pod", bailey.Source{})
}

// waitFor tries until there is nothing to complain of.
func waitFor(t *testing.T, try func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		complaint := try()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

func fieldsOf(findings []bailey.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Field+" ("+f.Message+")")
	}
	return strings.Join(all, ", ")
}
