package deploy

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/minted"
	"github.com/baileyhq/bailey/controls/internal/pods"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var enteringRefused = &bailey.Experiment{
	Name:  "entering-refused",
	Title: "Who may make pods enters none without a grant",
	Doc: `Where Bailey's policy about entering pods is in place, Bailey makes in a namespace of its own a pod that a scheduling
gate keeps from ever running, a Service without pods, and a ServiceAccount with a token of 10 minutes, to whom a Role
gives exec, attach, port-forward, ephemeral containers and the API server's proxy to pods and Services, as the role edit
does. With the token it tries each of these; the policy must refuse it. A pod without a node has nothing to enter, and
a Service without pods nothing to reach: what no policy refuses ends there. The twin reads the pod with the same token.
Everything is removed. The proxy to nodes is not tried: a role that gives it is one that access/authorization refuses.

Where no such policy is in place nobody claims it, and nothing is tried.`,
	Hypothesis: "Rights to exec, attach, port-forward, debug and proxy are not enough to enter a pod.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1609",
	Scope:      bailey.ScopeCluster,
	Needs:      append([]bailey.Kind{bailey.KindNamespace, bailey.KindPod}, vap.ClaimNeeds...),
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		if !vap.Claimed(v, "entering-granted") {
			return nil
		}
		namespace := minted.Namespace("entering")
		model := pods.Model{Image: pods.Pause}
		for _, ns := range pods.Sample(v.List(bailey.KindNamespace, ""), 1) {
			model = pods.ModelOf(v, ns.Name)
		}
		model.Namespace = namespace
		pod := pods.Restricted(model)
		pod.Name, pod.GenerateName, pod.Labels = "never", "", nil
		pod.Spec.InitContainers = nil
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "bailey.dev/never"}}
		made := pods.Create(pod)
		made.Request.Real = true

		me := bailey.Identity{Token: "${token}"}
		read := minted.Request(me, bailey.Request{Verb: "get", APIVersion: "v1", Resource: "pods", Namespace: namespace, Name: pod.Name})
		enter := []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"}
		service := minted.Object("v1", "Service", namespace, pod.Name, map[string]any{"spec": map[string]any{"clusterIP": "None", "ports": []any{map[string]any{"port": 80}}}})
		setup := []bailey.Step{minted.MakeNamespace(namespace), minted.MakeAccount(namespace, "editor"),
			minted.MakeReal(minted.RBACVersion, "roles", namespace, minted.Role(namespace, "editor", minted.Rule("", []string{"pods"}, []string{"get"}),
				minted.Rule("", enter, []string{"get", "create"}), minted.Rule("", []string{"pods/ephemeralcontainers"}, []string{"patch"}))),
			minted.MakeReal(minted.RBACVersion, "rolebindings", namespace, minted.RoleBinding(namespace, "editor", "Role", "editor", "editor")),
			minted.Mint(bailey.Identity{}, namespace, "editor", "token", nil), made,
			minted.MakeReal("v1", "services", namespace, service), minted.Awaited(read)}
		refusers := []bailey.Refuser{bailey.RefuserPolicy, bailey.RefuserWebhook}
		var probes []bailey.Probe
		for _, way := range enter {
			resource, subresource, _ := strings.Cut(way, "/")
			for _, verb := range []string{"create", "get"} {
				probes = append(probes, bailey.Probe{Name: subresource, Path: verb + " " + way, Setup: setup, Twin: read, Try: minted.Request(me,
					bailey.Request{Verb: verb, APIVersion: "v1", Resource: resource, Subresource: subresource, Namespace: namespace, Name: pod.Name, Real: true}, refusers...)})
			}
		}
		debug := pods.AddEphemeral(pod, pods.Ephemeral(model.Image), refusers...)
		debug.Request.As = me
		return append(probes, bailey.Probe{Name: "ephemeral container", Path: "patch pods/ephemeralcontainers", Setup: setup, Twin: read, Try: debug})
	},
}
