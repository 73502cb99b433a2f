package compute

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// fault is the part of a finding that a rule sets. A Finding is five times as
// large, and rules make many.
type fault struct {
	field, named, message string
	severity              bailey.Severity
}

// violation is one thing that is wrong with a pod template, and what puts it right.
type violation struct {
	fault
	// patch gives the operations that silence the finding, for the object as it
	// is. Nil where a person must decide what to do.
	patch func() []bailey.PatchOp
	// note says what to know before the patch is applied.
	note string
}

// templateRule completes a rule that judges pod templates. find gives what is
// wrong with one; it returns nil, and allocates nothing, where nothing is.
// The rule's Fix is the violations' patches.
func templateRule(r bailey.Rule, find func(*bailey.View, workload.Workload) []violation) *bailey.Rule {
	r.On = bailey.PodBearing
	r.Check = func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		found := find(v, w)
		if len(found) == 0 {
			return nil
		}
		findings := make([]bailey.Finding, len(found))
		for i := range found {
			x := &found[i].fault
			findings[i] = bailey.Finding{Field: x.field, Named: x.named, Message: x.message, Severity: x.severity}
		}
		return findings
	}
	r.Fix = func(v *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok || w.Immutable() {
			return nil
		}
		for _, x := range find(v, w) {
			if x.field == finding.Field && x.message == finding.Message && x.patch != nil {
				return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: x.patch(), Note: x.note}}
			}
		}
		return nil
	}
	return &r
}

// podFault is a fault in a field of the pod spec (".hostPID").
func podFault(w workload.Workload, suffix, message string) fault {
	return fault{field: w.Path + suffix, message: message}
}

// containerFault is a fault in a field of a container.
func containerFault(c workload.Container, suffix, message string) fault {
	return fault{field: c.Field(suffix), named: c.Named(suffix), message: message}
}

// annotationFault is a fault in an annotation of the pods.
func annotationFault(w workload.Workload, key, message string) fault {
	return fault{field: w.MetaPath + ".annotations[" + key + "]", message: message}
}

// label names a container as people say it: init container "migrate".
func label(c workload.Container) string {
	kind := "container "
	switch {
	case c.Sidecar:
		kind = "sidecar "
	case c.Type == workload.Init:
		kind = "init container "
	case c.Type == workload.Ephemeral:
		kind = "ephemeral container "
	}
	return kind + strconv.Quote(c.Name)
}

// labels names several containers: containers "web", "log".
func labels(cs []workload.Container) string {
	if len(cs) == 1 {
		return label(cs[0])
	}
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = strconv.Quote(c.Name)
	}
	return "containers " + strings.Join(names, ", ")
}

// isPrivileged reports whether the container is privileged. Such a container
// has every capability and no seccomp filter, AppArmor profile or masked /proc,
// whatever else is written: rules about those say nothing more about it.
func isPrivileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

// isWindows reports whether the pod says that it is for Windows.
func isWindows(s *corev1.PodSpec) bool {
	return s.OS != nil && s.OS.Name == corev1.Windows
}

// anyContainer reports whether the predicate holds for a container of any type.
func anyContainer(s *corev1.PodSpec, is func(*corev1.Container) bool) bool {
	for i := range s.InitContainers {
		if is(&s.InitContainers[i]) {
			return true
		}
	}
	for i := range s.Containers {
		if is(&s.Containers[i]) {
			return true
		}
	}
	for i := range s.EphemeralContainers {
		if is((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon)) {
			return true
		}
	}
	return false
}

func add(pointer string, value any) bailey.PatchOp {
	return bailey.PatchOp{Op: "add", Path: pointer, Value: value}
}

func remove(pointer string) []bailey.PatchOp {
	return []bailey.PatchOp{{Op: "remove", Path: pointer}}
}

// setContainer sets a field of the container's security context. An operation
// for the parent comes first where there is none, as an operation of its own:
// whoever joins the fixes of one object drops the repeated ones.
func setContainer(c workload.Container, field string, value any) []bailey.PatchOp {
	var ops []bailey.PatchOp
	if c.SecurityContext == nil {
		ops = append(ops, add(c.Pointer("/securityContext"), map[string]any{}))
	}
	return append(ops, add(c.Pointer("/securityContext/"+field), value))
}

// setPod sets a field of the pod's security context.
func setPod(w workload.Workload, field string, value any) []bailey.PatchOp {
	var ops []bailey.PatchOp
	if w.Spec.SecurityContext == nil {
		ops = append(ops, add(w.Pointer+"/securityContext", map[string]any{}))
	}
	return append(ops, add(w.Pointer+"/securityContext/"+field, value))
}

// removeAnnotation removes an annotation of the pods.
func removeAnnotation(w workload.Workload, key string) []bailey.PatchOp {
	return remove(w.MetaPointer + "/annotations/" + bailey.PointerPart(key))
}
