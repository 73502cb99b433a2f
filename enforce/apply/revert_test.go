package apply_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/enforce/apply"
)

const (
	admissionPath = "/apis/admissionregistration.k8s.io/v1/"
	listed        = "bailey-published-services-listed"
	keeper        = listed + "-parameter-kept"
	parameterPath = "/api/v1/namespaces/kube-system/configmaps/" + bailey.PublishedParam
)

// anew makes an object anew, as somebody else would.
func (w *world) anew(resource, name string) {
	t := w.t
	t.Helper()
	var o map[string]any
	if err := w.cluster.Do(t.Context(), http.MethodGet, admissionPath+resource+"/"+name, nil, &o); err != nil {
		t.Fatal(err)
	}
	o["metadata"] = map[string]any{"name": name}
	if err := w.cluster.Do(t.Context(), http.MethodDelete, admissionPath+resource+"/"+name, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Do(t.Context(), http.MethodPost, admissionPath+resource, o, nil); err != nil {
		t.Fatal(err)
	}
}

// awaitKept waits until the parameter cannot be deleted.
func (w *world) awaitKept() {
	t := w.t
	t.Helper()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := w.cluster.Do(t.Context(), http.MethodDelete, parameterPath+"?dryRun=All", nil, nil)
		if err != nil && strings.Contains(err.Error(), keeper) {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the policy is not in force: %v", err)
		}
	}
}

// left reverts, and gives what is left.
func (w *world) left(a *apply.Applier) map[bailey.Kind]string {
	w.t.Helper()
	done, err := a.Revert(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	left := map[bailey.Kind]string{}
	for _, r := range done {
		if r.Left != "" {
			left[r.Object.Kind] += r.Object.Name + ": " + r.Left
		}
	}
	return left
}

func (w *world) parameterIsThere() bool {
	return w.cluster.Do(w.t.Context(), http.MethodGet, parameterPath, nil, nil) == nil
}

const madeAnew = ": it was deleted and made anew by somebody else"

func TestRevertOfParameters(t *testing.T) {
	cluster := devclustertest.Own(t)
	t.Run("kept by one made anew", func(t *testing.T) { keeperMadeAnew(t, cluster) })
	t.Run("policies not listed", func(t *testing.T) { readerNotListed(t, cluster) })
	t.Run("policies of a later version", func(t *testing.T) { readerOfLaterVersion(t, cluster) })
}

// keeperMadeAnew: where somebody else made the binding anew of the policy that keeps a
// parameter, that policy goes before the parameter; where they made both, the parameter
// stays, and goes by a later revert.
func keeperMadeAnew(t *testing.T, cluster *devcluster.Cluster) {
	w := newWorld(t, cluster)
	w.publishListed()
	w.anew("validatingadmissionpolicybindings", keeper)
	w.awaitKept()
	if left := w.left(w.applier()); len(left) != 1 || left[bailey.KindValidatingAdmissionPolicyBinding] != keeper+madeAnew || w.parameterIsThere() {
		t.Errorf("left: %v; the parameter is there: %v", left, w.parameterIsThere())
	}
	if err := w.cluster.Do(t.Context(), http.MethodDelete, admissionPath+"validatingadmissionpolicybindings/"+keeper, nil, nil); err != nil {
		t.Fatal(err)
	}

	w.publishListed()
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		w.anew(resource, keeper)
	}
	w.awaitKept()
	left := w.left(w.applier())
	if left[bailey.KindValidatingAdmissionPolicy] != keeper+madeAnew || !strings.HasPrefix(left[bailey.KindConfigMap], bailey.PublishedParam+": ValidatingAdmissionPolicy "+keeper+", which stays, refuses to delete it") || !w.parameterIsThere() {
		t.Errorf("left: %v; the parameter is there: %v", left, w.parameterIsThere())
	}
	for _, resource := range []string{"validatingadmissionpolicybindings", "validatingadmissionpolicies"} {
		if err := w.cluster.Do(t.Context(), http.MethodDelete, admissionPath+resource+"/"+keeper, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if left := w.left(w.applier()); len(left) > 0 || w.parameterIsThere() {
		t.Errorf("reverted again, left: %v; the parameter is there: %v", left, w.parameterIsThere())
	}
}

// untold wants the ConfigMap to stay, since it cannot be told whether a policy reads it, all
// else to be reverted, and a later revert to delete it.
func (w *world) untold(a *apply.Applier, why string) {
	t := w.t
	t.Helper()
	left := w.left(a)
	said := left[bailey.KindConfigMap]
	if len(left) != 1 || !strings.Contains(said, bailey.PublishedParam+": whether a policy reads it as a parameter cannot be told: ") || !strings.Contains(said, why) || !w.parameterIsThere() {
		t.Errorf("left: %v; the parameter is there: %v", left, w.parameterIsThere())
	}
	if left := w.left(w.applier()); len(left) > 0 || w.parameterIsThere() {
		t.Errorf("reverted again, left: %v; the parameter is there: %v", left, w.parameterIsThere())
	}
}

// readerNotListed: the identity may delete policies, and not list them.
func readerNotListed(t *testing.T, cluster *devcluster.Cluster) {
	w := newWorld(t, cluster)
	w.publishListed()
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	name := w.namespace
	role := map[string]any{"metadata": map[string]any{"name": name}, "rules": []any{
		map[string]any{"apiGroups": []any{"admissionregistration.k8s.io", ""}, "resources": []any{"validatingadmissionpolicies", "validatingadmissionpolicybindings", "configmaps"}, "verbs": []any{"get", "delete"}}}}
	binding := map[string]any{"metadata": map[string]any{"name": name}, "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}}}
	for resource, o := range map[string]any{"clusterroles": role, "clusterrolebindings": binding} {
		if err := cluster.Do(t.Context(), http.MethodPost, rbac+resource, o, nil); err != nil {
			t.Fatal(err)
		}
	}
	config := rest.CopyConfig(w.config)
	config.Impersonate.UserName = name
	a, err := apply.New(config, w.folder, func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	w.untold(a, "cannot list resource")
}

// readerOfLaterVersion: the API server tells of a binding whose selector this version of
// Bailey does not know. Of several ConfigMaps, policies are listed once.
func readerOfLaterVersion(t *testing.T, cluster *devcluster.Cluster) {
	w := newWorld(t, cluster)
	w.publishListed()
	for _, name := range []string{"one", "two"} {
		object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": w.namespace, "labels": map[string]any{"team": "a"}}}
		change := enforce.Change{Object: bailey.Ref{Kind: bailey.KindConfigMap, Namespace: w.namespace, Name: name}, APIVersion: "v1", Creates: true, Apply: object}
		if err := w.applier().Apply(t.Context(), enforce.Staged{Change: &change, Fields: object, Stage: enforce.StageDeny}); err != nil {
			t.Fatal(err)
		}
	}
	later := &laterVersion{lists: map[string]int{}}
	config := rest.CopyConfig(w.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { later.next = next; return later })
	a, err := apply.New(config, w.folder, func() time.Time { return w.now })
	if err != nil {
		t.Fatal(err)
	}
	w.untold(a, "the paramRef of ValidatingAdmissionPolicyBinding later is not understood")
	for path, n := range later.lists {
		if n != 1 {
			t.Errorf("%s was listed %d times", path, n)
		}
	}
	if len(later.lists) < 2 {
		t.Errorf("lists: %v", later.lists)
	}
}

// laterVersion adds a policy and its binding to what the API server lists.
type laterVersion struct {
	next  http.RoundTripper
	lists map[string]int
}

func (l *laterVersion) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, admissionPath) {
		return answer, err
	}
	resource := strings.TrimPrefix(r.URL.Path, admissionPath)
	added := map[string]map[string]any{
		"validatingadmissionpolicies": {"kind": "ValidatingAdmissionPolicy", "spec": map[string]any{"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}},
		"validatingadmissionpolicybindings": {"kind": "ValidatingAdmissionPolicyBinding", "spec": map[string]any{"policyName": "later", "paramRef": map[string]any{
			"namespace": "kube-system", "selector": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Resembles", "values": []any{"b"}}}}}}},
	}[resource]
	if strings.Contains(resource, "/") || added == nil {
		return answer, nil
	}
	l.lists[resource]++
	var list map[string]any
	err = json.NewDecoder(answer.Body).Decode(&list)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	added["apiVersion"], added["metadata"] = "admissionregistration.k8s.io/v1", map[string]any{"name": "later"}
	items, _ := list["items"].([]any)
	list["items"] = append(items, added)
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	answer.Header.Set("Content-Length", fmt.Sprint(len(text)))
	return answer, nil
}
