package devcluster

import (
	"path/filepath"
	"slices"
	"strings"
)

// The components' arguments. TLS is on everywhere, profiling nowhere.

func (c *Cluster) pki(file string) string    { return filepath.Join(c.PKI, file) }
func (c *Cluster) config(file string) string { return filepath.Join(c.Dir, "config", file) }

func (c *Cluster) etcdArgs() []string {
	args := []string{
		"--name=default",
		"--data-dir=" + filepath.Join(c.Dir, "etcd"),
		"--listen-client-urls=" + c.Etcd,
		"--advertise-client-urls=" + c.Etcd,
		// It has no peers: it listens for them on any port and names one that nobody has.
		"--listen-peer-urls=https://127.0.0.1:0",
		"--initial-advertise-peer-urls=https://127.0.0.1:1",
		"--initial-cluster=default=https://127.0.0.1:1",
		"--cert-file=" + c.pki("etcd.crt"),
		"--key-file=" + c.pki("etcd.key"),
		"--client-cert-auth",
		"--trusted-ca-file=" + c.pki("etcd-ca.crt"),
		"--peer-cert-file=" + c.pki("etcd.crt"),
		"--peer-key-file=" + c.pki("etcd.key"),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + c.pki("etcd-ca.crt"),
		"--log-level=warn",
		// A single member waits this long before it elects itself (milliseconds).
		"--heartbeat-interval=20",
		"--election-timeout=200",
	}
	if c.journal.Temporary {
		args = append(args, "--unsafe-no-fsync") // nothing of it outlives the processes
	}
	return args
}

func (c *Cluster) apiServerArgs(o Options, p ports) []string {
	args := []string{
		"--secure-port=" + p.api,
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + c.pki("apiserver.crt"),
		"--tls-private-key-file=" + c.pki("apiserver.key"),
		"--tls-min-version=VersionTLS12",
		"--profiling=false",
		"--allow-privileged=true", // Pod Security decides

		"--etcd-servers=" + c.Etcd,
		"--etcd-cafile=" + c.pki("etcd-ca.crt"),
		"--etcd-certfile=" + c.pki("etcd-client.crt"),
		"--etcd-keyfile=" + c.pki("etcd-client.key"),
		"--encryption-provider-config=" + c.config("encryption.yaml"),

		"--anonymous-auth=false",
		"--client-ca-file=" + c.pki("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.pki("sa.pub"),
		"--service-account-signing-key-file=" + c.pki("sa.key"),
		"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki("front-proxy.crt"),
		"--proxy-client-key-file=" + c.pki("front-proxy.key"),

		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--admission-control-config-file=" + c.config("admission.yaml"),

		"--audit-policy-file=" + c.config("audit-policy.yaml"),
		"--audit-log-path=" + c.AuditLog,
		"--audit-log-maxsize=64", // MiB, so that a cluster left running does not fill the disk
		"--audit-log-maxbackup=4",

		"--kubelet-certificate-authority=" + c.pki("ca.crt"),
		"--kubelet-client-certificate=" + c.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",
	}
	if o.Network {
		args = append(args,
			"--bind-address=0.0.0.0", // of its own network
			"--advertise-address="+networkIP,
			"--enable-aggregator-routing", // it has no kube-proxy beside it, but routes to pods
		)
	} else {
		args = append(args,
			"--bind-address="+o.Address,
			"--advertise-address="+o.Address,
			"--endpoint-reconciler-type=none", // loopback may not be an endpoint
		)
	}
	return withExtra(args, o.ExtraAPIServerArgs)
}

// excluded names the argument that the API server does not take beside one of these.
var excluded = map[string]string{"--authentication-config=": "--anonymous-auth=", "--authorization-config=": "--authorization-mode="}

// withExtra puts arguments behind others, but for those that they exclude.
func withExtra(args, extra []string) []string {
	for file, flag := range excluded {
		if slices.ContainsFunc(extra, func(a string) bool { return strings.HasPrefix(a, file) }) {
			args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, flag) })
		}
	}
	return append(args, extra...)
}

func (c *Cluster) controllerManagerArgs(o Options, p ports) []string {
	args := c.controllerArgs("controller-manager", p.controllerManager)
	args = append(args,
		"--use-service-account-credentials",
		"--service-account-private-key-file="+c.pki("sa.key"),
		"--root-ca-file="+c.pki("ca.crt"),
		"--cluster-signing-cert-file="+c.pki("ca.crt"),
		"--cluster-signing-key-file="+c.pki("ca.key"),
		"--cluster-cidr="+podRange,
		"--allocate-node-cidrs=false",
	)
	return append(args, o.ExtraControllerManagerArgs...)
}

func (c *Cluster) schedulerArgs(p ports) []string {
	return c.controllerArgs("scheduler", p.scheduler)
}

// controllerArgs are what controller-manager and scheduler have in common.
func (c *Cluster) controllerArgs(name, port string) []string {
	kubeconfig := c.kubeconfig(name)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false", // there is one
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--tls-cert-file=" + c.pki(name+".crt"),
		"--tls-private-key-file=" + c.pki(name+".key"),
		"--tls-min-version=VersionTLS12",
		"--profiling=false",
		"--kube-api-qps=500", // at the default of 20 controller-manager alone takes 6 s to start
		"--kube-api-burst=1000",
	}
}
