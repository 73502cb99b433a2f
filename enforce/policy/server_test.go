package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce/policy"
)

// samples is how many requests are sent to the API server and evaluated beside it.
const samples = 400

// TestAgreesWithTheServer sends requests to the API server by dry-run, and wants
// the evaluator to refuse the same ones, by the same policy, with the same words.
func TestAgreesWithTheServer(t *testing.T) {
	cluster := devclustertest.Own(t)
	suite := fmt.Sprintf("s%d", time.Now().UnixNano())
	plain := devclustertest.NamespaceIn(t, cluster, nil)
	usual := devclustertest.NamespaceIn(t, cluster, map[string]string{"bailey.example/policies": suite})
	strict := devclustertest.NamespaceIn(t, cluster, map[string]string{"bailey.example/policies": suite, "strict": "yes"})
	source := policy.Source{Params: map[schema.GroupVersionKind]policy.Params{}}
	params := policy.Params{Namespaced: true}
	for _, p := range []*corev1.ConfigMap{
		{ObjectMeta: metav1.ObjectMeta{Namespace: usual, Name: "registry"}, Data: map[string]string{"registry": "good.example/"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: strict, Name: "one", Labels: map[string]string{"kind": "registries"}}, Data: map[string]string{"registry": "good.example/"}},
	} {
		p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		p.Labels = map[string]string{"kind": "registries", "spared": "yes"}
		do(t, cluster, "POST", "/api/v1/namespaces/"+p.Namespace+"/configmaps", p, nil)
		params.Objects = append(params.Objects, p)
	}
	source.Params[corev1.SchemeGroupVersion.WithKind("ConfigMap")] = params
	load(t, cluster, suite, &source)
	for _, name := range []string{usual, strict} {
		var ns corev1.Namespace
		do(t, cluster, "GET", "/api/v1/namespaces/"+name, nil, &ns)
		source.Namespaces = append(source.Namespaces, &ns)
	}
	set, problems := policy.Compile(source)
	if len(problems) > 0 || set.Len() != 7 {
		t.Fatalf("%d policies: %v", set.Len(), problems)
	}
	who := whoAmI(t, cluster)
	await(t, cluster, usual)

	random := rand.New(rand.NewPCG(1, 2))
	refused := map[string]int{}
	admitted := 0
	for i := range samples {
		object, path, kind, resource := sample(random, i)
		namespace := []string{usual, strict}[random.IntN(2)]
		var stored unstructured.Unstructured
		do(t, cluster, "POST", strings.ReplaceAll(path, "NAMESPACE", plain)+"?dryRun=All", object, &stored)
		stored.SetNamespace(namespace)
		err := cluster.Do(t.Context(), "POST", strings.ReplaceAll(path, "NAMESPACE", namespace)+"?dryRun=All", object, nil)
		said := ""
		if err != nil {
			said = err.Error()
		}
		denials, undecided, err := set.Review(t.Context(), &policy.Request{Operation: admission.Create, Kind: kind, Resource: resource,
			Namespace: namespace, Name: stored.GetName(), Object: &stored, User: who, DryRun: true, Options: &metav1.CreateOptions{}})
		if err != nil || len(undecided) > 0 {
			t.Fatalf("%v, undecided %v", err, undecided)
		}
		denials = slices.DeleteFunc(denials, func(d policy.Denial) bool { return !d.Denies })
		text, _ := json.Marshal(object)
		// The server answers with one denial, of whichever policy it came to first.
		same := slices.IndexFunc(denials, func(d policy.Denial) bool {
			return strings.HasSuffix(said, "ValidatingAdmissionPolicy '"+d.Policy+"' with binding '"+d.Binding+"' denied request: "+d.Message)
		})
		switch {
		case len(denials) == 0 && said == "":
			admitted++
		case same < 0:
			t.Errorf("the server says %q, the evaluator %+v: %s", said, denials, text)
		default:
			refused[denials[same].Message]++
		}
	}
	t.Logf("%d admitted, refused: %v", admitted, refused)
	if admitted < samples/20 || len(refused) < 8 {
		t.Errorf("%d admitted, %d ways to be refused: the requests try too little", admitted, len(refused))
	}
}

// sample gives a request that some policy may refuse.
func sample(r *rand.Rand, i int) (object any, path string, kind schema.GroupVersionKind, resource schema.GroupVersionResource) {
	chance := func(of int) bool { return r.IntN(of) == 0 }
	meta := map[string]any{"name": fmt.Sprintf("o%d", i)}
	container := map[string]any{"name": "c", "image": []string{"good.example/a", "good.example/a", "bad.example/a"}[r.IntN(3)]}
	if chance(4) {
		container["securityContext"] = map[string]any{"privileged": !chance(4)}
	}
	if !chance(3) {
		container["resources"] = map[string]any{"limits": map[string]any{"memory": []string{"100Mi", "1Gi", "1.5e9"}[r.IntN(3)]}}
	}
	spec := map[string]any{"containers": []any{container}}
	if chance(5) {
		spec["initContainers"] = []any{map[string]any{"name": "i", "image": "good.example/i", "securityContext": map[string]any{"privileged": true}}}
	}
	if chance(6) {
		spec["containers"] = append(spec["containers"].([]any), map[string]any{"name": "d", "image": "good.example/d"})
	}
	if chance(5) {
		spec["hostNetwork"] = true
	}
	if chance(2) {
		spec["automountServiceAccountToken"] = false
	}
	if chance(8) {
		meta["name"] = "spared"
	}
	switch r.IntN(3) {
	case 0:
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "/api/v1/namespaces/NAMESPACE/pods",
			corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithResource("pods")
	case 1:
		if chance(2) {
			meta["annotations"] = map[string]any{"who": "me"}
		}
		apps := schema.GroupVersion{Group: "apps", Version: "v1"}
		return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": map[string]any{"replicas": 1 + r.IntN(8),
				"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": spec}}},
			"/apis/apps/v1/namespaces/NAMESPACE/deployments", apps.WithKind("Deployment"), apps.WithResource("deployments")
	}
	if chance(3) {
		meta["labels"] = map[string]any{"spared": "yes"}
	}
	data := map[string]any{}
	if !chance(3) {
		data["mode"] = []string{"on", "on", "off"}[r.IntN(3)]
	}
	if chance(2) {
		data["size"] = []string{"big", "small"}[r.IntN(2)]
	}
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}, "/api/v1/namespaces/NAMESPACE/configmaps",
		corev1.SchemeGroupVersion.WithKind("ConfigMap"), corev1.SchemeGroupVersion.WithResource("configmaps")
}

// load creates the policies of testdata under the suite's own names.
func load(t *testing.T, cluster *devcluster.Cluster, suite string, source *policy.Source) {
	t.Helper()
	text, err := os.ReadFile("testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(strings.ReplaceAll(string(text), "SUITE", suite), "\n---\n") {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatal(err)
		}
		u.SetName(u.GetName() + "-" + suite)
		if name, is, _ := unstructured.NestedString(u.Object, "spec", "policyName"); is {
			_ = unstructured.SetNestedField(u.Object, name+"-"+suite, "spec", "policyName")
			var b admissionv1.ValidatingAdmissionPolicyBinding
			do(t, cluster, "POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", u.Object, &b)
			remove(t, cluster, "validatingadmissionpolicybindings", u.GetName())
			source.Bindings = append(source.Bindings, &b)
			continue
		}
		var p admissionv1.ValidatingAdmissionPolicy
		do(t, cluster, "POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", u.Object, &p)
		remove(t, cluster, "validatingadmissionpolicies", u.GetName())
		source.Policies = append(source.Policies, &p)
	}
}

func remove(t *testing.T, cluster *devcluster.Cluster, resource, name string) {
	t.Cleanup(func() {
		if err := cluster.Do(context.WithoutCancel(t.Context()), "DELETE", "/apis/admissionregistration.k8s.io/v1/"+resource+"/"+name, nil, nil); err != nil {
			t.Error(err)
		}
	})
}

// await waits until the API server's last policy refuses: it reads them in order.
func await(t *testing.T, cluster *devcluster.Cluster, namespace string) {
	t.Helper()
	tooMany := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "first"}, "spec": map[string]any{"replicas": 9,
		"selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "good.example/a"}}}}}}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := cluster.Do(t.Context(), "POST", "/apis/apps/v1/namespaces/"+namespace+"/deployments?dryRun=All", tooMany, nil)
		if err != nil && strings.Contains(err.Error(), "too many") {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the policies are not in force: %v", err)
		}
	}
}

func whoAmI(t *testing.T, cluster *devcluster.Cluster) user.Info {
	var review struct {
		Status struct {
			UserInfo struct {
				Username string
				Groups   []string
			}
		}
	}
	do(t, cluster, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, &review)
	return &user.DefaultInfo{Name: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}
}

func do(t *testing.T, cluster *devcluster.Cluster, method, path string, in, out any) {
	t.Helper()
	if err := cluster.Do(t.Context(), method, path, in, out); err != nil {
		t.Fatal(err)
	}
}
