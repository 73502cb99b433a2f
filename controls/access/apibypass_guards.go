package access

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// bypassFolders are those of a node that lead round the API server, each with its
// slashes: the sockets of container runtimes, the files of kubelet, static pods and
// etcd, the images and layers of containers, and what the kernel shows of processes.
var bypassFolders = []string{
	"/run/containerd/", "/run/docker.sock/", "/run/docker/", "/run/cri-dockerd.sock/", "/run/crio/", "/run/podman/", "/run/k3s/",
	"/var/lib/kubelet/", "/var/lib/etcd/", "/var/lib/containerd/", "/var/lib/containers/", "/var/lib/docker/", "/var/lib/rancher/", "/var/lib/k0s/",
	"/etc/kubernetes/", "/etc/containerd/", "/etc/crio/", "/etc/cni/", "/etc/rancher/", "/proc/",
}

var nodePathsRefused = vap.Guard(vap.Policy{
	Control: "access/api-bypass", Name: "node-paths-refused",
	Title: "No pod is admitted that mounts a way round the API server",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, that mount a node's folder in or above
which is a way round the API server: the sockets of container runtimes, the files of the kubelet, of static pods and of
etcd, the layers of containers. /var/run is read as /run, and repeated slashes as one. It also refuses pods that say
that they mirror a static pod, when nobody but a kubelet makes those.

Agents of nodes outside of Kubernetes' own namespaces, such as storage drivers, need such mounts: the namespaceSelector
of the binding is the place to leave their namespaces out, and the plan then says that they are.`,
	Tried:     []*bailey.Experiment{mountsRefused},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "paths", Expression: "variables.spec.?volumes.orValue([]).filter(v, has(v.hostPath))" +
			".map(v, '/' + v.hostPath.path.split('/').filter(p, p != '' && p != '.').map(p, p + '/').join(''))" +
			".map(p, p.startsWith('/var/run/') ? p.substring(4) : p)"},
		admissionv1.Variable{Name: "around", Expression: "variables.paths.filter(p, ['" + strings.Join(bypassFolders, "', '") + "'].exists(f, f.startsWith(p) || p.startsWith(f)))"},
		admissionv1.Variable{Name: "pretended", Expression: "object.kind == 'Pod' && object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue() && " +
			"!('system:nodes' in request.userInfo.?groups.orValue([]))"},
	),
	Checks: []vap.Check{
		vap.Pods("size(variables.around) == 0", "'a mount leads round the API server: ' + variables.around.join(', ')"),
		{Expression: "request.operation == 'UPDATE' || !variables.pretended", Message: "only a kubelet makes mirror pods"},
	},
})
