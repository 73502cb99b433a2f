// Package apply puts planned changes into a cluster by server-side apply, remembers
// what was there before, sees what others changed since, and puts it back.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

// FieldManager is the name under which fields are owned.
const FieldManager = "bailey-enforcer"

// Applier changes one cluster. It is not safe for concurrent use.
type Applier struct {
	// Force takes fields over that somebody else owns with another value.
	Force bool

	client dynamic.Interface
	mapper meta.RESTMapper
	folder string // of the records
	now    func() time.Time

	records map[bailey.Ref]*Record
}

// New makes an applier for the cluster, with the records of a folder.
func New(config *rest.Config, folder string, now func() time.Time) (*Applier, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	finder, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	a := &Applier{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(finder)),
		folder: folder, now: now, records: map[bailey.Ref]*Record{}}
	all, err := Records(folder)
	if err != nil {
		return nil, err
	}
	for i := range all {
		a.records[all[i].Object] = &all[i]
	}
	return a, nil
}

// ClusterUID is the cluster's identity: the UID of its namespace kube-system.
func ClusterUID(ctx context.Context, config *rest.Config) (string, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return "", err
	}
	system, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("the cluster's UID could not be read: %w\nhint: the identity needs get on the namespace kube-system", err)
	}
	return string(system.GetUID()), nil
}

// AuditedSince is when the object's audit stage began; zero if it did not.
func (a *Applier) AuditedSince(object bailey.Ref) time.Time {
	if r := a.records[object]; r != nil {
		return r.AuditedSince
	}
	return time.Time{}
}

// Apply does one change. What was there is noted on disk first, so that an apply that
// is cut off can be repeated or taken back. Where somebody else owns a field that would
// change, it is an error that names them, and nothing is changed.
func (a *Applier) Apply(ctx context.Context, s enforce.Staged) error {
	if s.Fields == nil {
		return nil
	}
	resource, err := a.resource(s.APIVersion, s.Object)
	if err != nil {
		return err
	}
	current, err := resource.Get(ctx, s.Object.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w", s.Object, err)
	}
	there := err == nil
	r := a.records[s.Object]
	var earlier *Record
	if r != nil {
		kept := *r
		earlier = &kept
	}
	if r == nil || r.Created && !(there && r.made(current)) {
		r = &Record{Object: s.Object, APIVersion: s.APIVersion, Created: !there}
	}
	if there {
		if r.Applied != nil && holdsAll(current, r.Applied) {
			r.Earlier = r.Applied
		}
		s.Fields = kept(r, current, s.Fields)
		a.remember(r, current, s.Fields)
	}
	r.Applied, r.Stage, r.At = s.Fields, s.Stage, a.now().UTC()
	if s.Stage == enforce.StageAudit && r.AuditedSince.IsZero() {
		r.AuditedSince = r.At
	}
	if err := r.write(a.folder); err != nil {
		return err
	}
	a.records[s.Object] = r
	applied, err := resource.Apply(ctx, s.Object.Name, &unstructured.Unstructured{Object: s.Fields}, metav1.ApplyOptions{FieldManager: FieldManager, Force: a.Force})
	if err != nil {
		return a.refused(s.Object, r, earlier, err)
	}
	if r.Created && r.UID == "" {
		r.UID = string(applied.GetUID())
		return r.write(a.folder)
	}
	return nil
}

// made reports whether the object is the one that was created: with its UID, or, where an
// apply was cut off before that was noted, with fields of this field manager.
func (r *Record) made(current *unstructured.Unstructured) bool {
	if r.UID == "" {
		return ownedBy(current, FieldManager)
	}
	return r.UID == string(current.GetUID())
}

func holdsAll(current *unstructured.Unstructured, fields map[string]any) bool {
	return !slices.ContainsFunc(enforce.Leaves(fields), func(f enforce.Field) bool { return !enforce.Holds(enforce.ValueAt(current.Object, f.Path), f.Value) })
}

// kept adds to the fields of an object that is not Bailey's those that were applied
// before and are as they were: server-side apply takes away what its manager names no
// longer, and a plan names only what is still to be done.
func kept(r *Record, current *unstructured.Unstructured, fields map[string]any) map[string]any {
	if r.Created || r.Applied == nil {
		return fields
	}
	all := (&unstructured.Unstructured{Object: fields}).DeepCopy().Object
	for _, f := range enforce.Leaves(r.Applied) {
		if enforce.ValueAt(all, f.Path) == nil && enforce.Holds(enforce.ValueAt(current.Object, f.Path), f.Value) {
			set(all, f.Path, f.Value)
		}
	}
	return all
}

// refused says why an apply failed. Where the API server answered that it did nothing,
// the record is as it was before.
func (a *Applier) refused(object bailey.Ref, r, earlier *Record, err error) error {
	var answered apierrors.APIStatus
	if errors.As(err, &answered) && answered.Status().Code/100 == 4 {
		var undone error
		if earlier != nil {
			a.records[object], undone = earlier, earlier.write(a.folder)
		} else {
			delete(a.records, object)
			undone = r.remove(a.folder)
		}
		if undone != nil {
			return errors.Join(fmt.Errorf("%s: %w", object, err), undone)
		}
	}
	if apierrors.IsConflict(err) {
		return fmt.Errorf("%s: somebody else owns what would change: %w", object, err)
	}
	return fmt.Errorf("%s: %w", object, err)
}

// remember notes the values of the fields that are about to be set, where they were
// not noted by an earlier apply.
func (a *Applier) remember(r *Record, current *unstructured.Unstructured, fields map[string]any) {
	if r.Created {
		if r.UID == "" {
			r.UID = string(current.GetUID()) // an apply that was cut off had made it
		}
		return
	}
	for _, f := range enforce.Leaves(fields) {
		if !slices.ContainsFunc(r.Before, func(b enforce.Field) bool { return slices.Equal(b.Path, f.Path) }) {
			r.Before = append(r.Before, enforce.Field{Path: f.Path, Value: enforce.ValueAt(current.Object, f.Path)})
		}
	}
}

// Drift is a field that is no longer as it was applied.
type Drift struct {
	Object bailey.Ref
	// What says what it is now.
	What string
	// By names the field managers that own it now, if any.
	By []string
}

// Drifts compares the cluster with what was applied.
func (a *Applier) Drifts(ctx context.Context) ([]Drift, error) {
	var all []Drift
	for _, r := range a.sorted() {
		resource, err := a.resource(r.APIVersion, r.Object)
		if err != nil {
			return nil, err
		}
		current, err := resource.Get(ctx, r.Object.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			all = append(all, Drift{Object: r.Object, What: "it is gone"})
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", r.Object, err)
		}
		for _, f := range enforce.Leaves(r.Applied) {
			if have := enforce.ValueAt(current.Object, f.Path); !enforce.Holds(have, f.Value) {
				all = append(all, Drift{r.Object, fmt.Sprintf("%s is %s, and was applied as %s", strings.Join(f.Path, "."), short(have), short(f.Value)), managersOf(current, f.Path)})
			}
		}
	}
	return all, nil
}

// set puts a value into nested maps.
func set(into map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		child, isMap := into[key].(map[string]any)
		if !isMap {
			child = map[string]any{}
			into[key] = child
		}
		into = child
	}
	into[path[len(path)-1]] = value
}

// sorted gives the records, policies before their bindings.
func (a *Applier) sorted() []*Record {
	all := make([]*Record, 0, len(a.records))
	for _, r := range a.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y *Record) int { return enforce.Compare(x.Object, y.Object) })
	return all
}

func (a *Applier) resource(apiVersion string, object bailey.Ref) (dynamic.ResourceInterface, error) {
	kind, _ := object.Kind.Split()
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	mapping, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("%s: the cluster does not serve %s %s: %w", object, apiVersion, kind, err)
	}
	if object.Namespace != "" {
		return a.client.Resource(mapping.Resource).Namespace(object.Namespace), nil
	}
	return a.client.Resource(mapping.Resource), nil
}

// managersOf names those who own a field, by managedFields.
func managersOf(o *unstructured.Unstructured, path []string) []string {
	var names []string
	for _, entry := range o.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		var owned map[string]any
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned) != nil {
			continue
		}
		at, found := owned, true
		for _, key := range path {
			at, found = at["f:"+key].(map[string]any)
			if !found {
				break
			}
		}
		if found && !slices.Contains(names, entry.Manager) {
			names = append(names, entry.Manager)
		}
	}
	return names
}

func ownedBy(o *unstructured.Unstructured, manager string) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager })
}

// short is a value as JSON, cut.
func short(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "not readable"
	}
	const most = 80
	if len(data) > most {
		return string(data[:most]) + "…"
	}
	return string(data)
}
