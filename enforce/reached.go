package enforce

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
)

// How far what is there has come, beside StageAudit and StageDeny.
const (
	StageAbsent Stage = "absent"
	StageWarn   Stage = "warn"
	StagePlaced Stage = "in place"
)

// Reached is how far an object that a change is for has come already: what differs in anything
// but whether it refuses has not come anywhere.
func (c *Change) Reached(s *bailey.Snapshot) Stage {
	f := s.Get(c.Object)
	if f == nil {
		return StageAbsent
	}
	differs := func(name string) bool {
		return slices.ContainsFunc(c.Differs, func(d Field) bool { return !strings.HasPrefix(d.Path[len(d.Path)-1], name) })
	}
	switch o := f.Object.(type) {
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		if differs("validationActions") {
			break
		}
		for _, has := range []struct {
			action admissionv1.ValidationAction
			stage  Stage
		}{{admissionv1.Deny, StageDeny}, {admissionv1.Warn, StageWarn}, {admissionv1.Audit, StageAudit}} {
			if slices.Contains(o.Spec.ValidationActions, has.action) {
				return has.stage
			}
		}
	case *corev1.Namespace:
		labels := under(under(c.Apply, "metadata"), "labels")
		if len(labels) > 0 && !differs(enforceLabel) && labels[warnLabel] != nil {
			return StageWarn
		}
	}
	return StageAbsent
}

// warnLabel is the label by which a namespace's Pod Security level warns.
const warnLabel = "pod-security.kubernetes.io/warn"

// Departures says what of an object is no longer as it was applied; empty if nothing is, or if
// the snapshot does not tell.
func Departures(s *bailey.Snapshot, object bailey.Ref, applied map[string]any) (string, error) {
	f := s.Get(object)
	if f == nil {
		if s.Unseen(object.Kind, object.Namespace, object.Name) != nil {
			return "", nil
		}
		return object.String() + " is gone", nil
	}
	content, err := contentOf(f)
	if err != nil {
		return "", err
	}
	var fields []string
	for _, d := range differences(content, applied) {
		fields = append(fields, strings.Join(d.Path, "."))
	}
	if len(fields) == 0 {
		return "", nil
	}
	return object.String() + " was changed: " + strings.Join(fields, ", "), nil
}

// Kinds are those of the snapshot that were seen whole and of which a policy of the judge looks at
// the objects.
func (j *Judge) Kinds(s *bailey.Snapshot) []bailey.Kind {
	var all []bailey.Kind
	for _, k := range bailey.KnownKinds() {
		if s.Unseen(k, "", "") != nil {
			continue
		}
		kind, group := k.Split()
		plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind})
		r := plural.GroupResource()
		if len(naming(j.resources, r)) > 0 || len(naming(j.altering, r)) > 0 {
			all = append(all, k)
		}
	}
	return all
}
