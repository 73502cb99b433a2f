// Package install puts Bailey's objects into a cluster by server-side apply, and takes them away.
// What it made is listed in a ConfigMap beside them.
package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// FieldManager is the name under which fields are owned.
const FieldManager = "bailey"

// InventoryName is the ConfigMap that lists what was made.
const InventoryName = "bailey-install"

// Installer changes one cluster.
type Installer struct {
	// Namespace holds what is namespaced, and the inventory.
	Namespace string
	// Force takes fields over that somebody else owns with another value.
	Force bool
	// Did, if set, is told each thing that was done.
	Did func(what string)

	client dynamic.Interface
	mapper meta.RESTMapper
}

// New makes an installer for the cluster.
func New(config *rest.Config, namespace string) (*Installer, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	finder, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Installer{Namespace: namespace, Did: func(string) {}, client: client,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(finder))}, nil
}

// entry is one object of the inventory. The UID is empty from before it is made until all are.
type entry struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

func (e entry) String() string {
	name := e.Name
	if e.Namespace != "" {
		name = e.Namespace + "/" + name
	}
	return strings.ToLower(e.Kind) + " " + name
}

func (e entry) same(o entry) bool {
	group, _, _ := strings.Cut(e.APIVersion, "/")
	other, _, _ := strings.Cut(o.APIVersion, "/")
	return group == other && e.Kind == o.Kind && e.Namespace == o.Namespace && e.Name == o.Name
}

// data tells that an object holds what cannot be made again.
func (e entry) data() bool { return e.Kind == "PersistentVolumeClaim" }

func entryOf(o *unstructured.Unstructured) entry {
	return entry{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName(), string(o.GetUID())}
}

// inventory is what the ConfigMap holds.
type inventory struct {
	// MadeNamespace tells that the namespace was not there before.
	MadeNamespace bool `json:"madeNamespace"`
	// Helm tells that objects which a release of Helm's has taken over were left: the namespace stays for them.
	Helm    bool    `json:"helm,omitempty"`
	Objects []entry `json:"objects"`
}

// Namespace gives the namespace as it is applied: restricted pods only.
func Namespace(name string) *unstructured.Unstructured {
	labels := map[string]any{}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": name, "labels": labels}}}
}

// Apply makes the objects what they are given as, in this order, and takes away what an earlier
// Apply made that is not among them any more, but for data and what Helm has taken over: these it lists on. It
// can be repeated after it failed.
func (i *Installer) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	if err := i.served(objects); err != nil {
		return err
	}
	namespaces, err := i.resource("v1", "Namespace", "")
	if err != nil {
		return err
	}
	_, err = namespaces.Get(ctx, i.Namespace, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return err
	}
	before, err := i.read(ctx)
	if err != nil {
		return err
	}
	if err := i.alone(ctx, objects); err != nil {
		return err
	}
	if _, err := i.put(ctx, Namespace(i.Namespace)); err != nil {
		return err
	}
	now := inventory{MadeNamespace: absent || before.MadeNamespace, Helm: !absent && before.Helm}
	for _, o := range objects {
		now.Objects = append(now.Objects, entryOf(o))
	}
	// Listed before it is made: what an interrupted run made is known to the next.
	listed := now
	var gone []entry
	for _, e := range before.Objects {
		at := slices.IndexFunc(now.Objects, e.same)
		if at < 0 {
			gone = append(gone, e)
			continue
		}
		now.Objects[at].UID = e.UID
	}
	listed.Objects = slices.Concat(now.Objects, gone)
	if err := i.write(ctx, listed); err != nil {
		return err
	}
	for at, o := range objects {
		made, err := i.put(ctx, o)
		if err != nil {
			return err
		}
		now.Objects[at].UID = string(made.GetUID())
	}
	for _, e := range slices.Backward(gone) {
		if e.data() {
			i.Did("left " + e.String() + ", which is not made any more and may hold history")
			now.Objects = append(now.Objects, e)
			continue
		}
		release, err := i.remove(ctx, e)
		if err != nil {
			return err
		}
		if release != "" {
			i.Did("left " + e.String() + ", which is of " + release)
			now.Objects = append(now.Objects, e)
		}
	}
	return i.write(ctx, now)
}

// served tells that the cluster has the kinds of all that is to be made: those of others, like HTTPRoute and PrometheusRule,
// may not be there.
func (i *Installer) served(objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		e := entryOf(o)
		_, err := i.resource(e.APIVersion, e.Kind, e.Namespace)
		if meta.IsNoMatchError(err) {
			return fmt.Errorf("%s: %w\nhint: nothing was applied: install the CustomResourceDefinition of that kind first, or leave out the values that ask for it", e, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	return nil
}

// helmRelease and helmNamespace are the annotations by which Helm knows what is its own.
const (
	helmRelease   = "meta.helm.sh/release-name"
	helmNamespace = "meta.helm.sh/release-namespace"
)

// alone tells that nothing that is to be made is Helm's or serves an installation in another namespace: two
// of one name would take each other's rights. What is left of one that has gone serves none.
func (i *Installer) alone(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		e := entryOf(o)
		if err := i.notHelms(ctx, e); err != nil {
			return err
		}
		if e.Kind == "ClusterRoleBinding" {
			other, err := i.serves(ctx, e)
			if err != nil {
				return fmt.Errorf("%s: %w", e, err)
			}
			if other != "" {
				return fmt.Errorf("%s is of what is installed in namespace %s: a second installation would take its rights away\nhint: --namespace %s changes it; bailey install --uninstall --namespace %s, or helm uninstall, removes it", e, other, other, other)
			}
		}
	}
	return nil
}

// notHelms fails for what a release of Helm's holds. Data outlives its release.
func (i *Installer) notHelms(ctx context.Context, e entry) error {
	if e.data() {
		return nil
	}
	resource, err := i.resource(e.APIVersion, e.Kind, e.Namespace)
	if err != nil {
		return err
	}
	current, err := resource.Get(ctx, e.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	release, namespace := current.GetAnnotations()[helmRelease], current.GetAnnotations()[helmNamespace]
	if release == "" {
		return nil
	}
	return fmt.Errorf("%s is of Helm's release %s in namespace %s: both would change it\nhint: helm upgrade changes it, and helm uninstall %s -n %s removes it", e, release, namespace, release, namespace)
}

// serves gives another namespace with an account that a ClusterRoleBinding gives rights to; none if there is none.
func (i *Installer) serves(ctx context.Context, binding entry) (namespace string, err error) {
	bindings, err := i.resource(binding.APIVersion, binding.Kind, "")
	if err != nil {
		return "", err
	}
	current, err := bindings.Get(ctx, binding.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	subjects, _, err := unstructured.NestedSlice(current.Object, "subjects")
	if err != nil {
		return "", err
	}
	for _, s := range subjects {
		subject, _ := s.(map[string]any)
		account, _ := subject["name"].(string)
		other, _ := subject["namespace"].(string)
		if other == "" || other == i.Namespace {
			continue
		}
		accounts, err := i.resource("v1", "ServiceAccount", other)
		if err != nil {
			return "", err
		}
		if _, err = accounts.Get(ctx, account, metav1.GetOptions{}); err == nil {
			return other, nil
		} else if !apierrors.IsNotFound(err) {
			return "", err
		}
	}
	return "", nil
}

// Remove takes away what Apply made, and nothing else; the data (PersistentVolumeClaims, and
// the namespace around them) only where asked. What a release of Helm's has taken over meanwhile it leaves,
// with the namespace. It returns what it left.
func (i *Installer) Remove(ctx context.Context, data bool) (left []string, err error) {
	all, err := i.read(ctx)
	if err != nil {
		return nil, err
	}
	if len(all.Objects) == 0 && !all.MadeNamespace {
		return nil, fmt.Errorf("nothing was installed in namespace %s\nhint: --namespace names another; what helm installed, helm uninstalls", i.Namespace)
	}
	helms := all.Helm
	var kept []entry
	for _, e := range slices.Backward(all.Objects) {
		if e.data() && !data {
			left, kept = append(left, e.String()), append([]entry{e}, kept...)
			continue
		}
		release, err := i.remove(ctx, e)
		if err != nil {
			return left, err
		}
		if release != "" {
			left, helms = append(left, e.String()+", which is of "+release), true
		}
	}
	maps, err := i.resource("v1", "ConfigMap", i.Namespace)
	if err != nil {
		return left, err
	}
	if len(kept) > 0 { // so that --delete-data finds it later
		return left, i.write(ctx, inventory{all.MadeNamespace, helms, kept})
	}
	if err := maps.Delete(ctx, InventoryName, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return left, err
	}
	if !all.MadeNamespace {
		// Nothing applied gives our labels up, and leaves those of others.
		bare := Namespace(i.Namespace)
		bare.SetLabels(nil)
		if _, err := i.put(ctx, bare); err != nil {
			return left, err
		}
		return append(left, "namespace "+i.Namespace+", which was there before"), nil
	}
	if helms {
		return append(left, "namespace "+i.Namespace+", which may hold more of that release"), nil
	}
	namespaces, err := i.resource("v1", "Namespace", "")
	if err != nil {
		return left, err
	}
	if err := namespaces.Delete(ctx, i.Namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return left, err
	}
	i.Did("removed namespace " + i.Namespace)
	return left, nil
}

func (i *Installer) put(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	e := entryOf(o)
	resource, err := i.resource(e.APIVersion, e.Kind, e.Namespace)
	if err != nil {
		return nil, err
	}
	made, err := resource.Apply(ctx, e.Name, o, metav1.ApplyOptions{FieldManager: FieldManager, Force: i.Force})
	switch {
	case apierrors.IsConflict(err):
		return nil, fmt.Errorf("%s: somebody else manages this: %w\nhint: --force takes it over", e, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	i.Did("applied " + e.String())
	return made, nil
}

// remove deletes an object if it is the one that was made: the inventory alone, which others may write, does
// not make it so. Of one that a release of Helm's has taken over it gives the release, and leaves it.
func (i *Installer) remove(ctx context.Context, e entry) (release string, err error) {
	resource, err := i.resource(e.APIVersion, e.Kind, e.Namespace)
	if meta.IsNoMatchError(err) {
		return "", nil // its kind has gone, and it with it
	}
	if err != nil {
		return "", err
	}
	current, err := resource.Get(ctx, e.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", e, err)
	case helmHolds(e, current):
		return "Helm's release " + current.GetAnnotations()[helmRelease], nil
	case e.UID != "" && string(current.GetUID()) != e.UID, !ours(current):
		return "", nil // another of its name
	}
	uid := current.GetUID()
	first := metav1.DeletePropagationForeground // a Deployment goes after its pods
	err = resource.Delete(ctx, e.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &first})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("%s: %w", e, err)
	}
	i.Did("removed " + e.String())
	return "", nil
}

// helmHolds reports whether an object is of a release of Helm's. Data that one has left keeps its annotation, and was adopted
// if its label says so.
func helmHolds(e entry, o *unstructured.Unstructured) bool {
	return o.GetAnnotations()[helmRelease] != "" && (!e.data() || o.GetLabels()["app.kubernetes.io/managed-by"] == "Helm")
}

// ours reports whether an object bears fields that were applied here.
func ours(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply
	})
}

func (i *Installer) read(ctx context.Context) (inventory, error) {
	var all inventory
	maps, err := i.resource("v1", "ConfigMap", i.Namespace)
	if err != nil {
		return all, err
	}
	o, err := maps.Get(ctx, InventoryName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	text, _, err := unstructured.NestedString(o.Object, "data", "inventory")
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	if err != nil {
		return all, fmt.Errorf("configmap %s/%s, which lists what was installed, cannot be read: %w", i.Namespace, InventoryName, err)
	}
	return all, nil
}

func (i *Installer) write(ctx context.Context, all inventory) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = i.put(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": InventoryName, "namespace": i.Namespace, "labels": map[string]any{"app.kubernetes.io/name": "bailey"}},
		"data":     map[string]any{"inventory": string(text)}}})
	return err
}

func (i *Installer) resource(apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	mapping, err := i.mapper.RESTMapping(gv.WithKind(kind).GroupKind(), gv.Version)
	if err != nil {
		if meta.IsNoMatchError(err) {
			err = fmt.Errorf("the cluster serves no %s of %s: %w", kind, apiVersion, err)
		}
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace == "" {
			return nil, errors.New("a " + kind + " wants a namespace")
		}
		return i.client.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return i.client.Resource(mapping.Resource), nil
}
