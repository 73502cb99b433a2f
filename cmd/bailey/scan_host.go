package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/node"
	"github.com/baileyhq/bailey/collect/saved"
)

// hostKinds are the kinds of fact that a machine shows of itself.
var hostKinds = append([]bailey.Kind{bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate, bailey.KindKubelet, bailey.KindKubeProxy}, bailey.ControlPlane...)

// hostRules leaves the rules that a machine alone can decide, and the controls that
// have any.
func hostRules(all []*bailey.Control) []*bailey.Control {
	var chosen []*bailey.Control
	for _, c := range all {
		one := *c
		one.Guards, one.Experiments = nil, nil
		one.Rules = slices.DeleteFunc(slices.Clone(c.Rules), func(r *bailey.Rule) bool {
			outside := func(k bailey.Kind) bool { return !slices.Contains(hostKinds, k) }
			return slices.ContainsFunc(r.On, outside) || slices.ContainsFunc(r.Needs, outside)
		})
		if len(one.Rules) > 0 {
			chosen = append(chosen, &one)
		}
	}
	return chosen
}

// withHosts adds what machines showed of themselves to what was seen of their cluster.
func withHosts(s *bailey.Snapshot, files []string) (*bailey.Snapshot, error) {
	if len(files) == 0 {
		return s, nil
	}
	if s.Meta.Medium != "cluster" {
		return nil, usageError("--hosts adds machines to a cluster, and this is %s\nhint: scan the cluster, or a snapshot of it", s.Meta.Medium)
	}
	machines := make([]*bailey.Snapshot, len(files))
	for i, file := range files {
		one, err := saved.ReadFile(file)
		if err != nil {
			return nil, err
		}
		machines[i] = one
	}
	joined, err := node.Join(s, machines)
	if err != nil {
		return nil, usageError("--hosts: %w", err)
	}
	return joined, nil
}

type hostFlags struct {
	root, proc, node string
	print            bool
	image, namespace string
	save             string
}

func (a *app) scanHostCommand() *cobra.Command {
	t := targetFlags{host: true}
	var j judgeFlags
	var h hostFlags
	c := &cobra.Command{
		Use:   "host",
		Short: "Judge the machine that this runs on, as a node or a part of the control plane",
		Long: `Host reads the machine itself: what the platform's processes were started with, the
files that this names with their modes and owners, certificates, listening sockets,
kernel and operating system. It finds them by looking at what runs, opens key files
to read their type only, and runs nothing. Run it as root; what it may not read is
named. A folder that is called host is scanned as ./host.`,
		Example: `  bailey scan host
  bailey scan host --save node-1.zst    # and then, elsewhere: bailey scan --hosts node-1.zst
  bailey scan host --print-pod --node node-1 --image registry.example.com/bailey:1 | kubectl create -f -`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if h.print {
				return a.printHostPod(&h)
			}
			read := func() (*bailey.Snapshot, error) {
				return node.Collect(c.Context(), node.Options{Root: h.root, Proc: h.proc, Node: h.node, Now: a.now()})
			}
			return a.scan(c.Context(), &t, &j, read, "", h.save, "bailey scan host")
		},
	}
	j.register(c)
	f := c.Flags()
	f.StringVar(&t.config, "config", "", "the configuration (default: bailey.yaml, looked for upwards)")
	f.StringVar(&h.root, "root", "/", "where the machine's root folder is mounted")
	f.StringVar(&h.proc, "proc", "/proc", "where its process file system is mounted")
	f.StringVar(&h.node, "node", "", "the machine's name in the cluster (default: as its kubelet says, else its host name)")
	f.StringVar(&h.save, "save", "", "save what was seen to this file")
	f.BoolVar(&h.print, "print-pod", false, "print the manifest of a pod that does this on --node once, and do nothing else")
	f.StringVar(&h.image, "image", "", "with --print-pod: the image that holds bailey")
	f.StringVar(&h.namespace, "namespace", "bailey", "with --print-pod: where the pod runs")
	return c
}

// printHostPod prints a pod that scans a node once: no capability, no token, nothing that
// it can write to.
func (a *app) printHostPod(h *hostFlags) error {
	if h.node == "" || h.image == "" {
		return usageError("--print-pod needs --node and --image\nhint: --node names the node to scan, --image an image whose program is bailey")
	}
	yes, no, root, recursive := true, false, int64(0), corev1.RecursiveReadOnlyIfPossible
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bailey-scan-host-", Namespace: h.namespace, Labels: map[string]string{"app.kubernetes.io/name": "bailey-scan-host"}},
		Spec: corev1.PodSpec{
			NodeName: h.node, HostPID: true, RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "bailey", Image: h.image, Args: []string{"scan", "host", "--root", "/host", "--node", h.node, "--fail-on", "none", "-o", "json"},
				SecurityContext: &corev1.SecurityContext{RunAsUser: &root, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				VolumeMounts: []corev1.VolumeMount{{Name: "host", MountPath: "/host", ReadOnly: true, RecursiveReadOnly: &recursive}},
			}},
			Volumes: []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}},
		},
	}
	text, err := yaml.Marshal(pod)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "# Reads node %s once and ends: `kubectl create -f` this, then read its log. Its namespace must admit privileged pods.\n%s", h.node, text)
	return err
}
