package deploy

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/admission"
)

var refusedToday = &bailey.Rule{
	Name:  "refused-today",
	Title: "Pod would not be admitted to its namespace today",
	Doc: `Admission looks at a pod when it is made, and not again. A pod from before its namespace enforced a Pod
Security level goes on running, with what the level forbids; and when it is evicted, it does not come
back.

The rule judges each pod with the checks of the API server, at the level and version that the labels of
its namespace enforce now. Exemptions by user, namespace or runtime class are in the API server's own
configuration, which is not read: an exempted pod is found all the same. The mirrors of static pods are
left out, for the kubelet runs those unasked, and so are pods that ended. What other policies would say
of the pod is not judged.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/pod-security-admission/", "Pod Security Admission"),
		ref.Kubernetes("tasks/configure-pod-container/enforce-standards-namespace-labels/", "Enforce Pod Security Standards with Namespace Labels"),
		ref.CIS("5.2.1", "A policy mechanism for pods is active in every namespace with workloads"),
	},
	On:    []bailey.Kind{bailey.KindPod},
	Needs: []bailey.Kind{bailey.KindNamespace},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		pod, ok := f.Object.(*corev1.Pod)
		if !ok || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return nil
		}
		if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
			return nil
		}
		ns := v.Get(bailey.KindNamespace, "", f.Namespace)
		if ns == nil {
			return nil
		}
		level, version := admission.Enforced(ns.Labels, v.Version())
		if level == api.LevelPrivileged {
			return nil
		}
		why := admission.Refuses(level, version, &pod.ObjectMeta, &pod.Spec)
		if why == "" {
			return nil
		}
		return []bailey.Finding{{Message: "namespace " + f.Namespace + " enforces " + string(level) + ", which refuses this pod: " + why}}
	},
	Bad: []string{`
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: shop}
spec: {hostPID: true, containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline}}
`},
}
