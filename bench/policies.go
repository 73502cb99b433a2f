package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

const (
	policyRequests = 1000 // of one measurement
	policyWriters  = 2
	policyRounds   = 3
	policyWait     = time.Minute
)

// policyBench is a control plane, and the policies that `bailey enforce` prints for it.
type policyBench struct {
	cluster  *devcluster.Cluster
	policies []*admissionv1.ValidatingAdmissionPolicy
	bindings map[string][]*admissionv1.ValidatingAdmissionPolicyBinding // by policy
	made     []string                                                   // paths
	marks    int
}

// benchPolicies measures what Bailey's admission policies cost at an API server: creations
// of a pod that they admit, by dry-run, with none, some, all, and copies of all.
func benchPolicies(program string) error {
	ctx := context.Background()
	b := &policyBench{bindings: map[string][]*admissionv1.ValidatingAdmissionPolicyBinding{}}
	var err error
	if b.cluster, err = devcluster.Start(ctx, devcluster.Options{}); err != nil {
		return err
	}
	defer b.cluster.Stop(ctx)
	if err := b.prepare(ctx, program); err != nil {
		return err
	}
	all := len(b.policies)
	fmt.Printf("%d policies; %d dry-run creations of a pod by %d writers, the round of %d with the least processor time\n", all, policyRequests, policyWriters, policyRounds)
	fmt.Printf("%10s %10s %10s %14s %12s\n", "policies", "p50", "p99", "CPU/request", "requests/s")
	if err := b.measure(ctx, "none"); err != nil {
		return err
	}
	placed := 0
	for _, n := range []int{1, all / 4, all / 2, all, 2 * all} {
		for ; placed < n; placed++ {
			if err := b.place(ctx, placed); err != nil {
				return err
			}
		}
		if err := b.settle(ctx); err != nil {
			return err
		}
		label := strconv.Itoa(n)
		if n > all {
			label += " (copies)"
		}
		if err := b.measure(ctx, label); err != nil {
			return err
		}
	}
	slices.Reverse(b.made) // bindings before policies
	for _, path := range b.made {
		if err := b.cluster.Do(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	return b.measure(ctx, "none again")
}

// prepare reads the policies, and makes the list of registries and a namespace.
func (b *policyBench) prepare(ctx context.Context, program string) error {
	cmd := exec.CommandContext(ctx, program, "enforce", "--kubeconfig", b.cluster.Kubeconfig, "-o", "yaml")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	for _, document := range bytes.Split(out, []byte("\n---\n")) {
		var head metav1.TypeMeta
		if err := yaml.Unmarshal(document, &head); err != nil {
			return err
		}
		switch head.Kind {
		case "ValidatingAdmissionPolicy":
			p := &admissionv1.ValidatingAdmissionPolicy{}
			if err := yaml.Unmarshal(document, p); err != nil {
				return err
			}
			b.policies = append(b.policies, p)
		case "ValidatingAdmissionPolicyBinding":
			binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
			if err := yaml.Unmarshal(document, binding); err != nil {
				return err
			}
			b.bindings[binding.Spec.PolicyName] = append(b.bindings[binding.Spec.PolicyName], binding)
		}
	}
	if len(b.policies) < 4 {
		return fmt.Errorf("bailey enforce prints %d policies", len(b.policies))
	}
	registries := map[string]any{"metadata": map[string]any{"name": bailey.RegistriesParam}, "data": map[string]any{"registries": "registry.example.com\n"}}
	namespace := map[string]any{"metadata": map[string]any{"name": "bench"}}
	if err := errors.Join(b.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces/kube-system/configmaps", registries, nil),
		b.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces", namespace, nil)); err != nil {
		return err
	}
	return until("the namespace has its ServiceAccount", func() (bool, error) {
		return b.cluster.Do(ctx, http.MethodGet, "/api/v1/namespaces/bench/serviceaccounts/default", nil, nil) == nil, nil
	})
}

const admissionPath = "/apis/admissionregistration.k8s.io/v1/"

// place creates the policy of this number, after the last a copy of the first under
// another name, and so on.
func (b *policyBench) place(ctx context.Context, n int) error {
	original := b.policies[n%len(b.policies)]
	suffix := ""
	if n >= len(b.policies) {
		suffix = fmt.Sprintf("-copy-%d", n/len(b.policies))
	}
	p := original.DeepCopy()
	p.Name += suffix
	if err := b.make(ctx, "validatingadmissionpolicies", p.Name, p); err != nil {
		return err
	}
	for _, binding := range b.bindings[original.Name] {
		binding = binding.DeepCopy()
		binding.Name += suffix
		binding.Spec.PolicyName = p.Name
		if err := b.make(ctx, "validatingadmissionpolicybindings", binding.Name, binding); err != nil {
			return err
		}
	}
	return nil
}

func (b *policyBench) make(ctx context.Context, resource, name string, object any) error {
	if err := b.cluster.Do(ctx, http.MethodPost, admissionPath+resource, object, nil); err != nil {
		return err
	}
	b.made = append(b.made, admissionPath+resource+"/"+name)
	return nil
}

// settle waits until the API server judges by what is there now: it takes policies in
// the order of their creation, so when it refuses by one more, the others are in force.
func (b *policyBench) settle(ctx context.Context) error {
	b.marks++
	name := fmt.Sprintf("bench-mark-%d", b.marks)
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}}},
		Validations: []admissionv1.Validation{{Expression: "object.metadata.name != '" + name + "'"}}}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}
	policies, bindings := admissionPath+"validatingadmissionpolicies", admissionPath+"validatingadmissionpolicybindings"
	if err := errors.Join(b.cluster.Do(ctx, http.MethodPost, policies, policy, nil), b.cluster.Do(ctx, http.MethodPost, bindings, binding, nil)); err != nil {
		return err
	}
	refused := func(want bool) func() (bool, error) {
		return func() (bool, error) {
			err := b.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces/bench/configmaps?dryRun=All", map[string]any{"metadata": map[string]any{"name": name}}, nil)
			if err != nil && !strings.Contains(err.Error(), name) {
				return false, err
			}
			return (err != nil) == want, nil
		}
	}
	if err := until("policies are in force", refused(true)); err != nil {
		return err
	}
	if err := errors.Join(b.cluster.Do(ctx, http.MethodDelete, bindings+"/"+name, nil, nil), b.cluster.Do(ctx, http.MethodDelete, policies+"/"+name, nil, nil)); err != nil {
		return err
	}
	return until("the mark is no longer in force", refused(false))
}

// until polls.
func until(what string, done func() (bool, error)) error {
	for begin := time.Now(); time.Since(begin) < policyWait; time.Sleep(50 * time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
	}
	return fmt.Errorf("not within %v: %s", policyWait, what)
}

// wellKeptPod is one that every policy admits, of two containers.
func wellKeptPod() map[string]any {
	container := func(name string) map[string]any {
		return map[string]any{"name": name, "image": "registry.example.com/" + name + "@sha256:" + strings.Repeat("a", 64),
			"ports":     []any{map[string]any{"containerPort": 8080}},
			"resources": map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "16Mi"}, "limits": map[string]any{"cpu": "10m", "memory": "16Mi"}},
			"env":       []any{map[string]any{"name": "PORT", "value": "8080"}, map[string]any{"name": "LOG_LEVEL", "value": "info"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
				"capabilities": map[string]any{"drop": []any{"ALL"}}}}
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "bench-", "labels": map[string]any{"app": "bench"}},
		"spec": map[string]any{"automountServiceAccountToken": false, "securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{container("app"), container("proxy")}}}
}

// measure prints what a creation takes, of the best of several rounds.
func (b *policyBench) measure(ctx context.Context, label string) error {
	pod, err := json.Marshal(wellKeptPod())
	if err != nil {
		return err
	}
	var best policyRound
	for range policyRounds {
		r, err := b.round(ctx, pod)
		if err != nil {
			return err
		}
		if best.took == nil || r.cpu < best.cpu {
			best = r
		}
	}
	fmt.Printf("%10s %10s %10s %14s %12.0f\n", label, ms(quantile(best.took, 50)), ms(quantile(best.took, 99)), (best.cpu / policyRequests).Round(time.Microsecond),
		policyRequests/best.wall.Seconds())
	return nil
}

type policyRound struct {
	took      []time.Duration // sorted
	cpu, wall time.Duration
}

// round creates the pods, and gives what each took and the API server's processor time.
func (b *policyBench) round(ctx context.Context, pod []byte) (policyRound, error) {
	server := b.cluster.PIDs()[devcluster.APIServer]
	before, err := processorTime(server)
	if err != nil {
		return policyRound{}, err
	}
	begin := time.Now()
	took := make([]time.Duration, policyRequests)
	failures := make([]error, policyWriters)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range policyWriters {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < policyRequests; i = next.Add(1) - 1 {
				start := time.Now()
				if err := b.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces/bench/pods?dryRun=All", json.RawMessage(pod), nil); err != nil {
					failures[w] = err
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return policyRound{}, err
	}
	after, err := processorTime(server)
	slices.Sort(took)
	return policyRound{took, after - before, time.Since(begin)}, err
}
