package storage

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// exportsTried bounds how many exports are tried.
const exportsTried = 10

var exportsAskWho = &bailey.Experiment{
	Name:  "exports-ask-who",
	Title: "An NFS export lists nothing without a credential",
	Doc: `For up to ten NFS exports that PersistentVolumes (nfs, and the CSI driver nfs.csi.k8s.io) and running pods name,
an NFS client in user space tries to list the uppermost folder as root, without any credential that says so: by
version 4.0, and by version 3 with the mount service. It does so from a pod, and from a pod on the host's network,
thus from the node's own address; both on the first node by name that is ready. The server must refuse: the
credential (Kerberos is asked for), or the address. The twin calls the server's procedure that does nothing.

A server that turns root into nobody has asked nobody who he is. So where the permissions of the files refuse root, the
client claims to be the owner whom the server names, and of the group; if they refuse these too, nothing is shown.

Only that something was listed is kept, no name in it. Version 3's list of who mounts keeps a line: to have it taken
off could take the node's own mount off too, since pods often come from the node's address. Some servers let only
ports below 1024 in: the client uses such ports, for which the pod on the host's network takes CAP_NET_BIND_SERVICE
in a namespace of the level privileged, and the other one a sysctl of its own network.

Where an export trusts the addresses of nodes, the second path is broken even if no pod of an ordinary user can
act from there; what the node's kernel mounts, it mounts for every pod with such a volume. A server of version 4.1
or later only, without version 3, is not spoken to: inconclusive. iSCSI, Ceph, SMB and cloud volumes are not tried.`,
	Hypothesis: "An NFS export that the cluster uses lets nobody list it who shows no credential.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1135",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindPersistentVolume, bailey.KindPod, bailey.KindNode},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		nodes := pods.ReadyNodes(v, nil, nil, 1)
		if len(nodes) == 0 {
			return nil
		}
		exports := exportsOf(v)
		var probes []bailey.Probe
		for _, host := range []bool{false, true} {
			for _, e := range exports[:min(len(exports), exportsTried)] {
				probes = append(probes, exportProbe(e, nodes[0], host))
			}
		}
		return probes
	},
}

// exportsOf lists what the cluster mounts by NFS, sorted.
func exportsOf(v *bailey.View) []bailey.Export {
	var all []bailey.Export
	add := func(server, path string, options []string) {
		if server == "" || path == "" {
			return
		}
		all = append(all, bailey.Export{Server: server, Path: path, Port: option(options, "port"), MountPort: option(options, "mountport")})
	}
	byDriver := func(attributes map[string]string, options []string) {
		path := attribute(attributes, "share")
		if sub := attribute(attributes, "subdir"); sub != "" {
			path = strings.TrimSuffix(path, "/") + "/" + sub
		}
		add(attribute(attributes, "server"), path, append(slices.Clip(options), attribute(attributes, optionsAttribute)))
	}
	for _, f := range v.List(bailey.KindPersistentVolume, "") {
		volume, ok := bailey.As[*corev1.PersistentVolume](f)
		if !ok {
			continue
		}
		if s := volume.Spec.NFS; s != nil {
			add(s.Server, s.Path, volume.Spec.MountOptions)
		}
		if s := volume.Spec.CSI; s != nil && s.Driver == nfsDriver {
			byDriver(s.VolumeAttributes, volume.Spec.MountOptions)
		}
	}
	for _, f := range v.List(bailey.KindPod, "") {
		if pod, ok := bailey.As[*corev1.Pod](f); ok && pods.Alive(f) {
			for i := range pod.Spec.Volumes {
				if s := pod.Spec.Volumes[i].NFS; s != nil {
					add(s.Server, s.Path, nil)
				}
				if s := pod.Spec.Volumes[i].CSI; s != nil && s.Driver == nfsDriver {
					byDriver(s.VolumeAttributes, nil)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b bailey.Export) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Path, b.Path), a.Port-b.Port, a.MountPort-b.MountPort)
	})
	return slices.Compact(all)
}

// option gives the number of a mount option ("port=2049"), or zero.
func option(options []string, name string) int {
	for _, list := range options {
		for _, o := range strings.Split(list, ",") {
			if value, found := strings.CutPrefix(o, name+"="); found {
				n, _ := strconv.Atoi(value) // anything else counts as not given
				return n
			}
		}
	}
	return 0
}

func exportProbe(e bailey.Export, node string, host bool) bailey.Probe {
	namespace, level, path := pods.ProbeNamespace("export"), "restricted", "a pod's address"
	spec := pods.OnNode(node, nil)
	var container map[string]any
	if host {
		namespace, level, path = pods.ProbeNamespace("export-node"), "privileged", "the node's address"
		spec["hostNetwork"] = true
		spec["securityContext"] = map[string]any{"runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0}
		container = map[string]any{"securityContext": map[string]any{"capabilities": map[string]any{"add": []any{"NET_BIND_SERVICE"}}}}
	} else {
		// One of the sysctls that are safe for every pod.
		spec["securityContext"] = map[string]any{"sysctls": []any{map[string]any{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}}}
	}
	do := func(name string, e bailey.Export) bailey.Step {
		return bailey.Step{Task: &bailey.Task{Export: &e, In: &bailey.ProbePod{Namespace: namespace, Name: name, Spec: spec, Container: container}}}
	}
	null := e
	null.Null = true
	try := do("try", e)
	try.Refusers = []bailey.Refuser{bailey.RefuserAuthentication, bailey.RefuserAuthorization}
	return bailey.Probe{
		Name:  "list the export " + e.Server + ":" + e.Path,
		Path:  path,
		Setup: []bailey.Step{pods.MakeNamespace(namespace, level)},
		Twin:  do("twin", null),
		Try:   try,
	}
}
