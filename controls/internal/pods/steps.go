package pods

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
)

// Create is the step that creates the pod by dry-run.
func Create(pod *corev1.Pod, refusers ...bailey.Refuser) bailey.Step {
	object := plain(pod)
	delete(object, "status")
	return bailey.Step{Refusers: refusers,
		Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: pod.Namespace, Object: object}}
}

// AddEphemeral is the step that adds an ephemeral container to a pod that is
// there, by dry-run.
func AddEphemeral(pod *corev1.Pod, c corev1.Container, refusers ...bailey.Refuser) bailey.Step {
	object := plain(&c)
	delete(object, "resources")
	return patch(pod, "ephemeralcontainers", "ephemeralContainers", object, refusers)
}

// SetImage is the step that changes the image of the pod's first container, by
// dry-run.
func SetImage(pod *corev1.Pod, image string, refusers ...bailey.Refuser) bailey.Step {
	return patch(pod, "", "containers", map[string]any{"name": pod.Spec.Containers[0].Name, "image": image}, refusers)
}

// Resize is the step that gives a container of the pod these resources, by dry-run.
func Resize(pod *corev1.Pod, container string, r corev1.ResourceRequirements, refusers ...bailey.Refuser) bailey.Step {
	return patch(pod, "resize", "containers", map[string]any{"name": container, "resources": plain(&r)}, refusers)
}

func patch(pod *corev1.Pod, subresource, list string, container map[string]any, refusers []bailey.Refuser) bailey.Step {
	return bailey.Step{Refusers: refusers, Request: &bailey.Request{
		Verb: "patch", APIVersion: "v1", Resource: "pods", Subresource: subresource, Namespace: pod.Namespace, Name: pod.Name, Strategic: true,
		Object: map[string]any{"spec": map[string]any{list: []any{container}}},
	}}
}

// plain gives an object of the API as maps and lists.
func plain(object any) map[string]any {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic("a type of the API does not convert to a map: " + err.Error()) // they always do
	}
	return m
}

// Noticed names the detections, of derive/detect, that should notice a step which makes or changes a pod.
func Noticed(step *bailey.Step) []string {
	names := []string{}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(step.Request.Object, &pod); err != nil {
		panic("a pod of the plan's is none: " + err.Error()) // it was made from one
	}
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for i := range pod.Spec.EphemeralContainers {
		containers = append(containers, corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	for _, d := range []struct {
		name  string
		shown bool
	}{
		{"ephemeral-container", len(pod.Spec.EphemeralContainers) > 0},
		{"privileged-container", slices.ContainsFunc(containers, isPrivileged) || pod.Spec.SecurityContext != nil && isHostProcess(pod.Spec.SecurityContext.WindowsOptions)},
		{"host-path", slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.HostPath != nil })},
		{"host-namespaces", pod.Spec.HostPID || pod.Spec.HostIPC || pod.Spec.HostNetwork},
		{"impersonation", step.Request.As.User != ""},
		{"impersonation-privileged", step.Request.As.User != ""},
	} {
		if d.shown {
			names = append(names, d.name)
		}
	}
	return names
}

func isPrivileged(c corev1.Container) bool {
	s := c.SecurityContext
	return s != nil && (s.Privileged != nil && *s.Privileged || isHostProcess(s.WindowsOptions))
}

func isHostProcess(o *corev1.WindowsSecurityContextOptions) bool {
	return o != nil && o.HostProcess != nil && *o.HostProcess
}
