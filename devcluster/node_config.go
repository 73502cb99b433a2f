package devcluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// containerdConfig is the configuration of containerd 1.6 and 1.7. runc-alt is runc under
// another name: a RuntimeClass that names it is no sandbox.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE nobody may lower a score, and runc fails.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc-alt]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "` + cniPlugins + `"
    conf_dir = "/etc/cni/net.d"
`

// writeConfig fills the node's /etc.
func (n *Node) writeConfig(o NodeOptions) error {
	c := n.cluster
	etc := filepath.Join(n.Root, "etc")
	for _, dir := range []string{"kubernetes/pki", "kubernetes/manifests", "containerd", "cni/net.d"} {
		if err := os.MkdirAll(filepath.Join(etc, dir), 0o755); err != nil {
			return err
		}
	}
	ca, err := readPair(c.PKI, "ca")
	if err != nil {
		return err
	}
	client, err := ca.issue(subject{name: "system:node:" + n.Name, groups: []string{"system:nodes"}, client: true})
	if err != nil {
		return err
	}
	server, err := ca.issue(subject{name: "system:node:" + n.Name, hosts: []string{n.Name, n.IP, "127.0.0.1", "localhost"}})
	if err != nil {
		return err
	}
	proxy, err := readPair(c.PKI, "proxy")
	if err != nil {
		return err
	}
	if err := server.write(filepath.Join(etc, "kubernetes", "pki"), "kubelet"); err != nil {
		return err
	}
	for user, pair := range map[string]*keyPair{"kubelet": client, "kube-proxy": proxy} {
		path := filepath.Join(etc, "kubernetes", user+".kubeconfig")
		if err := c.writeKubeconfig(path, n.APIServer, user, pair); err != nil {
			return err
		}
	}
	kubelet, err := n.kubeletConfig(o)
	if err != nil {
		return err
	}
	for file, content := range map[string]any{
		"kubernetes/kubelet.json":          kubelet,
		"kubernetes/kube-proxy.json":       n.proxyConfig(),
		"cni/net.d/10-devcluster.conflist": n.cniConfig(),
		"kubernetes/pki/ca.crt":            ca.certPEM(),
		"containerd/config.toml":           containerdConfig,
		"hostname":                         n.Name + "\n",
		"hosts":                            "127.0.0.1 localhost\n" + n.IP + " " + n.Name + "\n",
		"resolv.conf":                      "",
		"machine-id":                       fmt.Sprintf("%x", sha256.Sum256([]byte(c.journal.ID+n.Name)))[:32] + "\n",
		"passwd":                           "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
		"group":                            "root:x:0:\nnogroup:x:65534:\n",
		"os-release":                       "ID=bailey-devcluster\nNAME=Bailey\nPRETTY_NAME=\"Bailey development node\"\n",
	} {
		var b []byte
		switch content := content.(type) {
		case []byte:
			b = content
		case string:
			b = []byte(content)
		default:
			if b, err = json.MarshalIndent(content, "", "  "); err != nil {
				return err
			}
		}
		// Readable for all, as on any machine; the folder above is not.
		if err := os.WriteFile(filepath.Join(etc, file), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) kubeletConfig(o NodeOptions) (object, error) {
	config := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"address":    "0.0.0.0",
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
		},
		"authorization":      object{"mode": "Webhook"},
		"readOnlyPort":       0,
		"tlsCertFile":        "/etc/kubernetes/pki/kubelet.crt",
		"tlsPrivateKeyFile":  "/etc/kubernetes/pki/kubelet.key",
		"staticPodPath":      "/etc/kubernetes/manifests",
		"fileCheckFrequency": "1s",

		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + n.cgroup(),
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"oomScoreAdj":              0, // lower needs CAP_SYS_RESOURCE
		"seccompDefault":           true,
		"clusterDomain":            "cluster.local",
		"resolvConf":               "", // there is no name server
		// What else uses the machine's disk and memory is no reason to evict a pod.
		"evictionHard":                object{"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
	}
	// What the caller gave is taken as JSON has it, so that types do not matter.
	b, err := json.Marshal(o.ExtraKubeletConfig)
	if err != nil {
		return nil, fmt.Errorf("ExtraKubeletConfig: %w", err)
	}
	var extra object
	if err := json.Unmarshal(b, &extra); err != nil {
		return nil, fmt.Errorf("ExtraKubeletConfig: %w", err)
	}
	merge(config, extra)
	return config, nil
}

// merge puts what is in from into the object; objects add up.
func merge(into, from object) {
	for key, value := range from {
		inner, ok := into[key].(object)
		if add, isObject := value.(object); ok && isObject {
			merge(inner, add)
			continue
		}
		into[key] = value
	}
}

func (n *Node) proxyConfig() object {
	return object{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"mode":               "nftables",
		"clientConnection":   object{"kubeconfig": "/etc/kubernetes/kube-proxy.kubeconfig"},
		"clusterCIDR":        podRange,
		"healthzBindAddress": "127.0.0.1:10256",
		"metricsBindAddress": "127.0.0.1:10249",
		// The connection table is the machine's.
		"conntrack": object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
}

// cniConfig routes every packet of a pod through the node, also between two pods of one
// node (a bridge would switch it past the rules that enforce network policies).
func (n *Node) cniConfig() object {
	return object{
		"cniVersion": "1.0.0",
		"name":       "devcluster",
		"plugins": []object{
			{
				"type": "ptp",
				"ipam": object{
					"type":    "host-local",
					"dataDir": "/run/cni",
					"ranges":  [][]object{{{"subnet": n.Pods}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}
}
