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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

// Reverted is what Revert did with one object.
type Reverted struct {
	Object bailey.Ref
	// Left says what was not put back, and why; empty if all was.
	Left string
	// Again tells that the object is still the one that was created: a later revert deletes it,
	// when nothing is in the way any more.
	Again bool
}

// Revert puts back what was there: it deletes what was created, with its UID as
// precondition, and gives changed fields their values from before. A field that
// somebody changed since is left, and named; so is a ConfigMap that the policy of a binding
// that stays reads, since without it that policy may refuse everything, one of which it
// cannot be told whether a policy reads it, and one that a policy refuses to delete.
func (a *Applier) Revert(ctx context.Context) ([]Reverted, error) {
	var all []Reverted
	records := a.sorted()
	slices.SortFunc(records, func(x, y *Record) int { return enforce.CompareRevert(x.Object, y.Object) })
	params := readers{of: a}
	for _, r := range records {
		done, err := a.revert(ctx, r, &params)
		if err != nil {
			return all, fmt.Errorf("%s: %w", r.Object, err)
		}
		all = append(all, done)
		if done.Again {
			continue
		}
		if err := r.remove(a.folder); err != nil {
			return all, err
		}
		delete(a.records, r.Object)
	}
	return all, nil
}

// revert puts one object back.
func (a *Applier) revert(ctx context.Context, r *Record, params *readers) (Reverted, error) {
	done := Reverted{Object: r.Object}
	resource, err := a.resource(r.APIVersion, r.Object)
	if err != nil {
		return done, err
	}
	current, err := resource.Get(ctx, r.Object.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return done, nil
	}
	if err != nil {
		return done, err
	}
	switch {
	case !r.Created:
		done.Left, err = r.restore(ctx, resource, current)
		return done, err
	case !r.made(current):
		done.Left = "it was deleted and made anew by somebody else"
		return done, nil
	case r.Object.Kind == bailey.KindConfigMap:
		done.Left, err = params.readerOf(ctx, current)
		if err != nil && ctx.Err() == nil {
			done.Left = fmt.Sprintf("whether a policy reads it as a parameter cannot be told: %v", err)
			err = nil
		}
		if err != nil || done.Left != "" {
			done.Again = true
			return done, err
		}
	}
	err = a.delete(ctx, resource, current)
	var refused *refusedError
	if r.Object.Kind == bailey.KindConfigMap && errors.As(err, &refused) {
		done.Left, done.Again = refused.Error(), true
		return done, nil
	}
	return done, err
}

// restore gives the fields of an object that was there their values from before.
func (r *Record) restore(ctx context.Context, resource dynamic.ResourceInterface, current *unstructured.Unstructured) (left string, err error) {
	patch := map[string]any{}
	var kept []string
	for _, before := range r.Before {
		have := enforce.ValueAt(current.Object, before.Path)
		switch {
		case enforce.Holds(have, before.Value) && (before.Value != nil || have == nil): // as it was
		case r.sets(before.Path, have):
			set(patch, before.Path, before.Value)
		default:
			kept = append(kept, strings.Join(before.Path, "."))
		}
	}
	if len(kept) > 0 {
		left = "changed since by somebody else: " + strings.Join(kept, ", ")
	}
	if len(patch) == 0 {
		return left, nil
	}
	set(patch, []string{"metadata", "uid"}, string(current.GetUID()))
	data, err := json.Marshal(patch)
	if err != nil {
		return "", err
	}
	_, err = resource.Patch(ctx, r.Object.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: FieldManager})
	return left, err
}

// sets reports whether the field is as it was applied, last or before that; or no apply
// that is known set it last.
func (r *Record) sets(path []string, have any) bool {
	known := false
	for _, fields := range []map[string]any{r.Applied, r.Earlier} {
		value, named, _ := unstructured.NestedFieldNoCopy(fields, path...)
		if named && enforce.Holds(have, value) {
			return true
		}
		known = known || named
	}
	return !known
}

// policyLag is how long API servers may take to learn that a policy or its binding has
// gone: each looks again every second.
const policyLag = 30 * time.Second

// refusedError says that a policy that is in force refuses.
type refusedError struct {
	policy string
	err    error
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("ValidatingAdmissionPolicy %s, which stays, refuses to delete it: %v", e.policy, e.err)
}

func (e *refusedError) Unwrap() error { return e.err }

// delete deletes the object. What a policy refuses that has gone, or whose binding has, is
// done again: for a moment more it is in force.
func (a *Applier) delete(ctx context.Context, resource dynamic.ResourceInterface, current *unstructured.Unstructured) error {
	uid := current.GetUID()
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, policyLag, true, func(ctx context.Context) (bool, error) {
		last = resource.Delete(ctx, current.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if last == nil || apierrors.IsNotFound(last) {
			last = nil
			return true, nil
		}
		policy, binding := refusing(last)
		if policy == "" {
			return false, last
		}
		stays, err := a.inForce(ctx, policy, binding)
		if err == nil && stays {
			err = &refusedError{policy, last}
		}
		return false, err
	})
	if wait.Interrupted(err) && last != nil {
		return last
	}
	return err
}

// inForce reports whether a policy and its binding are there. Those that an API server reads
// from files are, and it shows nobody.
func (a *Applier) inForce(ctx context.Context, policy, binding string) (bool, error) {
	if enforce.IsStatic(policy) {
		return true, nil
	}
	for _, object := range []bailey.Ref{{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: binding}, {Kind: bailey.KindValidatingAdmissionPolicy, Name: policy}} {
		resource, err := a.resource("admissionregistration.k8s.io/v1", object)
		if err != nil {
			return false, err
		}
		switch _, err := resource.Get(ctx, object.Name, metav1.GetOptions{}); {
		case apierrors.IsNotFound(err):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// refusing names the policy and the binding by which a request was refused; empty if
// none did.
func refusing(err error) (policy, binding string) {
	_, rest, _ := strings.Cut(err.Error(), "ValidatingAdmissionPolicy '")
	policy, rest, found := strings.Cut(rest, "' with binding '")
	binding, _, denied := strings.Cut(rest, "' denied request")
	if !found || !denied {
		return "", ""
	}
	return policy, binding
}
