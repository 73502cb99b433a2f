package object

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/redact"
)

// podOf gives the pod spec of the kinds that run components: static pods, and
// the Deployments and DaemonSets of hosted control planes and of kube-proxy.
func podOf(obj any) (bailey.Kind, *corev1.PodSpec, *metav1.ObjectMeta) {
	switch o := obj.(type) {
	case *corev1.Pod:
		return bailey.KindPod, &o.Spec, &o.ObjectMeta
	case *appsv1.Deployment:
		return bailey.KindDeployment, &o.Spec.Template.Spec, &o.ObjectMeta
	case *appsv1.StatefulSet:
		return bailey.KindStatefulSet, &o.Spec.Template.Spec, &o.ObjectMeta
	case *appsv1.DaemonSet:
		return bailey.KindDaemonSet, &o.Spec.Template.Spec, &o.ObjectMeta
	}
	return "", nil, nil
}

// component reads the kind, version and flags out of a container that runs a
// component, and gives nil for any other.
func component(c *corev1.Container) (bailey.Kind, *bailey.Component) {
	name, args := commandLine(c)
	kind, found := bailey.ComponentKind(name)
	if !found {
		return "", nil
	}
	flags := Flags(args)
	if kind == bailey.KindEtcd {
		var env []string
		for _, e := range c.Env {
			if e.Value != "" {
				env = append(env, e.Name+"="+e.Value)
			}
		}
		EtcdEnvironment(flags, env)
	}
	return kind, &bailey.Component{Version: imageVersion(c.Image), Flags: flags}
}

// Flags reads a component's command line: "--name=value", "--name value" and
// "--name", with one dash or two, and "_" for "-". A flag without a value holds "true"; of one that is
// given several times the last value holds, as the components take it, unless it is a list,
// whose values are joined by commas. A value that is a credential by its form becomes its
// class.
func Flags(args []string) map[string]string {
	flags := map[string]string{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name := strings.TrimLeft(arg, "-")
		if name == arg || name == "" {
			continue
		}
		name, value, assigned := strings.Cut(name, "=")
		name = strings.ReplaceAll(name, "_", "-") // as the components' WordSepNormalizeFunc does
		if !assigned {
			value = "true"
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value = args[i]
			}
		}
		if is, err := strconv.ParseBool(value); err == nil && switches[name] {
			value = strconv.FormatBool(is)
		}
		value = redact.Credential(value)
		if earlier, found := flags[name]; found && listFlags[name] {
			value = earlier + "," + value
		}
		flags[name] = value
	}
	return flags
}

// switches are the components' flags that are on or off, which they take in every spelling
// of strconv.ParseBool (1, T, True), as far as anything here reads them.
var switches = setOf("allow-privileged", "anonymous-auth", "authentication-skip-lookup", "auto-tls", "client-cert-auth",
	"contention-profiling", "enable-aggregator-routing", "enable-bootstrap-token-auth", "enable-debugging-handlers",
	"enable-logs-handler", "leader-elect", "make-iptables-util-chains", "peer-auto-tls", "peer-client-cert-auth",
	"permit-address-sharing", "permit-port-sharing", "profiling", "protect-kernel-defaults", "rotate-certificates",
	"rotate-server-certificates", "seccomp-default", "service-account-extend-token-expiration", "service-account-lookup",
	"use-service-account-credentials")

// listFlags are the components' flags that gather their values over several uses, in Kubernetes 1.37.
var listFlags = setOf("admission-control", "allow-metric-labels", "allowed-unsafe-sysctls", "api-audiences", "authorization-always-allow-paths",
	"authorization-mode", "cluster-dns", "controllers", "cors-allowed-origins", "cpu-manager-policy-options", "disable-admission-plugins",
	"emulated-version", "enable-admission-plugins", "enforce-node-allocatable", "etcd-servers", "etcd-servers-overrides", "eviction-hard",
	"eviction-minimum-reclaim", "eviction-soft", "eviction-soft-grace-period", "feature-gates", "ipvs-exclude-cidrs", "kube-reserved",
	"kubelet-preferred-address-types", "manifest-url-header", "min-compatibility-version", "node-labels", "nodeport-addresses",
	"oidc-required-claim", "oidc-signing-algs", "qos-reserved", "register-with-taints", "requestheader-allowed-names",
	"requestheader-extra-headers-prefix", "requestheader-group-headers", "requestheader-uid-headers", "requestheader-username-headers",
	"runtime-config", "service-account-issuer", "service-account-key-file", "strict-transport-security-directives", "system-reserved",
	"tls-cipher-suites", "tls-sni-cert-key", "topology-manager-policy-options", "vmodule", "watch-cache-sizes", "webhook-tls-cipher-suites",
	"webhook-tls-sni-cert-key", "webhooks")

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// etcdSettings are the settings of etcd that are kept where no flag gives them.
var etcdSettings = []string{"cert-file", "key-file", "client-cert-auth", "trusted-ca-file", "auto-tls", "peer-cert-file", "peer-key-file",
	"peer-client-cert-auth", "peer-trusted-ca-file", "peer-auto-tls", "listen-client-urls", "listen-peer-urls", "initial-cluster", "data-dir",
	"config-file", "cipher-suites", "tls-min-version"}

// EtcdEnvironment adds to etcd's flags what it takes from its environment in their
// place ("ETCD_CERT_FILE=/x" for --cert-file). A flag overrides its variable.
func EtcdEnvironment(flags map[string]string, environment []string) {
	var args []string
	for _, variable := range environment {
		name, value, assigned := strings.Cut(variable, "=")
		name, isEtcds := strings.CutPrefix(name, "ETCD_")
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if assigned && isEtcds && slices.Contains(etcdSettings, name) { // others may be passwords
			args = append(args, "--"+name+"="+value)
		}
	}
	for name, value := range Flags(args) {
		if _, set := flags[name]; !set {
			flags[name] = value
		}
	}
}

// imageVersion gives the version that an image's tag names: "v1.37.2".
func imageVersion(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	tag, _, _ = strings.Cut(tag, "-") // etcd's tags end in a build number
	plain := strings.TrimPrefix(tag, "v")
	if strings.Count(plain, ".") != 2 || strings.Trim(plain, "0123456789.") != "" {
		return ""
	}
	return "v" + plain
}
