package compute

import (
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// syscallsExperiments make system calls that the profile in force refuses.
var syscallsExperiments = []*bailey.Experiment{profileConfines}

var profileConfines = &bailey.Experiment{
	Name:  "profile-confines",
	Title: "The runtime's default profile refuses what it lists",
	Doc: `On two nodes, the first by name that are ready, pods of Bailey's own with the profile RuntimeDefault make system
calls that need no privilege and that the default profiles of containerd and CRI-O refuse: keyctl, which reads
the id of a keyring, and userfaultfd, whose descriptor is closed at once. The kernel must refuse them; getpid in
the same kind of pod must work. Where a kubelet's configuration says seccompDefault: true, the same is tried
without any profile. Each call changes nothing. The pods run in a namespace of Bailey's own and are removed with
it.

It shows that the nodes have seccomp and apply the profile. It does not show that a profile of type Localhost fits its
workload, nor that a workload has a profile, which the rules judge; and it does not try AppArmor or SELinux, which many
nodes lack: no field of the API tells which have them.`,
	Hypothesis: "A container with the profile RuntimeDefault cannot make a system call that the profile leaves out.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1611",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNode, bailey.KindKubelet},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		defaulting := map[string]bool{}
		for _, f := range v.Known(bailey.KindKubelet, "") {
			if c, ok := bailey.As[*bailey.Component](f); ok && defaultsSeccomp(c) {
				defaulting[c.Node] = true
			}
		}
		var probes []bailey.Probe
		for _, node := range pods.ReadyNodes(v, nil, nil, 2) {
			for _, call := range []string{"keyctl", "userfaultfd"} {
				probes = append(probes, callProbe(call, "RuntimeDefault", node))
			}
			if defaulting[node] {
				probes = append(probes, callProbe("keyctl", "", node))
			}
		}
		return probes
	},
}

// callProbe tries a system call under the profile type; under none if it is empty.
func callProbe(call, profile, node string) bailey.Probe {
	namespace := pods.ProbeNamespace("syscalls")
	setup, name := pods.MakeNamespace(namespace, "restricted"), call+" under "+profile
	spec := pods.OnNode(node, nil)
	if profile == "" {
		name = call + " under the kubelet's default"
		spec["securityContext"] = map[string]any{"seccompProfile": nil}
		setup = pods.MakeNamespace(namespace, "baseline") // restricted wants the profile to be written down
	}
	do := func(name, call string) bailey.Step {
		return bailey.Step{Task: &bailey.Task{Syscall: call, In: &bailey.ProbePod{Namespace: namespace, Name: name, Spec: spec}}}
	}
	try := do("try", call)
	try.Refusers = []bailey.Refuser{bailey.RefuserKernel}
	return bailey.Probe{Name: name, Path: "pod on node " + node, Setup: []bailey.Step{setup}, Twin: do("twin", "getpid"), Try: try}
}
