package access

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// namespaceSample is how many namespaces are tried.
const namespaceSample = 12

var mountsRefused = &bailey.Experiment{
	Name:  "mounts-refused",
	Title: "No pod can mount what leads round the API server",
	Doc: `In up to 12 namespaces spread over the cluster, as far as possible the same every time, pods are created by dry-run
that mount from the node: the sockets of containerd, Docker and CRI-O, by which one commands the runtime; the folder
of static pods, whose files the kubelet runs unasked; the folders of the kubelet and of etcd; and the whole file
system. The mount of containerd's socket is tried in each kind of container, read-only, by the folder around it, as
a volume that no container mounts yet, and in a pod that says it mirrors a static pod, which policies may leave
alone. Pod Security, a policy or a webhook must refuse each. The twin has an empty folder in the place of the
node's, and mirrors nothing. Nothing is created, and nothing runs.

Where nobody refuses containerd's socket in an ordinary container, nobody claims to keep pods of that namespace from
the node's files, and the namespace is left out. That a mirror pod as such is refused to who is no node is tried where
a policy claims it: Kubernetes itself lets everybody make one. A volume that an administrator makes of a folder of a
node is not tried; access/authorization asks who may make one.

A file in the node's folder of static pods is beyond what a prober should write. What is tried is that the folder
cannot be mounted; the detection static-pod tells of the mirror pod that follows from such a file.`,
	Hypothesis: "Where the socket of a container runtime cannot be mounted, nothing else that leads round the API server can.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1611",
	Detections: []string{"host-path", "static-pod"},
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNamespace, bailey.KindPod, bailey.KindNode},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		node := "bailey-probe"
		if nodes := v.Held(bailey.KindNode, ""); len(nodes) > 0 {
			node = nodes[0].Name
		}
		var probes []bailey.Probe
		for _, namespace := range pods.Sample(v.List(bailey.KindNamespace, ""), namespaceSample) {
			probes = append(probes, mountsIn(pods.ModelOf(v, namespace.Name), node)...)
		}
		return probes
	},
}

// containerdSocket stands for the claim: whoever refuses one way to the runtime
// must refuse all.
const containerdSocket = "/run/containerd/containerd.sock"

// nodePaths lead round the API server.
var nodePaths = []string{containerdSocket, "/var/run/docker.sock", "/var/run/crio/crio.sock", "/run/containerd",
	"/etc/kubernetes/manifests", "/var/lib/kubelet", "/var/lib/etcd", "/"}

// mountsIn gives the probes for one namespace.
func mountsIn(model pods.Model, node string) []bailey.Probe {
	refusers := []bailey.Refuser{bailey.RefuserPodSecurity, bailey.RefuserPolicy, bailey.RefuserWebhook}
	ordinary := withVolume(model, "", regular)
	claimed := pods.Create(withVolume(model, containerdSocket, regular), refusers...)
	var probes []bailey.Probe
	add := func(name, path string, given bailey.Step, try, twin *corev1.Pod) {
		probes = append(probes, bailey.Probe{Name: name + ", namespace " + model.Namespace, Path: "create pods/" + path, Given: &given,
			Try: pods.Create(try, refusers...), Twin: pods.Create(twin)})
	}
	for _, path := range nodePaths {
		add("hostPath "+path, "containers", claimed, withVolume(model, path, regular), ordinary)
	}
	for _, way := range []struct {
		name, path string
		mount      mountIn
	}{
		{"hostPath " + containerdSocket, "initContainers", initial},
		{"hostPath " + containerdSocket, "sidecars", sidecar},
		{"hostPath " + containerdSocket + " read-only", "containers", regularReadOnly},
		{"hostPath " + containerdSocket + " that nothing mounts", "volumes", nowhere},
	} {
		add(way.name, way.path, claimed, withVolume(model, containerdSocket, way.mount), withVolume(model, "", way.mount))
	}
	add("hostPath "+containerdSocket+" in a mirror pod", "mirror", claimed, mirror(withVolume(model, containerdSocket, regular), node), ordinary)
	pretended := mirror(withVolume(model, "", regular), node)
	add("mirror pod of no node", "mirror", pods.Create(pretended, refusers...), pretended, ordinary)
	return probes
}

// mountIn mounts the pod's volume.
type mountIn func(*corev1.Pod)

func mounted(c *corev1.Container, readOnly bool) {
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "try", MountPath: "/bailey-probe", ReadOnly: readOnly})
}

func regular(p *corev1.Pod)         { mounted(&p.Spec.Containers[0], false) }
func regularReadOnly(p *corev1.Pod) { mounted(&p.Spec.Containers[0], true) }
func initial(p *corev1.Pod)         { mounted(&p.Spec.InitContainers[0], false) }
func sidecar(p *corev1.Pod)         { mounted(&p.Spec.InitContainers[1], false) }
func nowhere(*corev1.Pod)           {}

// withVolume is a restricted pod with the node's path as a volume, or with an
// empty folder if the path is empty.
func withVolume(model pods.Model, path string, mount mountIn) *corev1.Pod {
	pod := pods.Restricted(model)
	volume := corev1.Volume{Name: "try", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	if path != "" {
		volume.VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}
	}
	pod.Spec.Volumes = []corev1.Volume{volume}
	mount(pod)
	return pod
}

// mirror makes the pod say that it mirrors a static pod of the node.
func mirror(pod *corev1.Pod, node string) *corev1.Pod {
	pod.Name, pod.GenerateName = bailey.ProbePrefix+"mirror", ""
	pod.Spec.NodeName = node
	pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "bailey"}
	return pod
}
