package observe

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

var telemetryRules = []*bailey.Rule{proxyMetrics, openDashboard, unverifiedMetrics}

var proxyMetrics = settings.Reading("config", settings.Rule(bailey.KindKubeProxy, bailey.Rule{
	Name:  "proxy-metrics-reachable",
	Title: "kube-proxy's metrics can be reached from elsewhere",
	Doc: `kube-proxy serves metrics, and profiles where they are on, without asking who calls. It listens at the loopback address
unless metricsBindAddress or --metrics-bind-address says otherwise; what scrapes it can run on the node.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("4.3.1", "kube-proxy's metrics are bound to the local host"), ref.ATTACK("T1613")},
}, func(c *bailey.Component) []settings.Fault {
	flag := "metrics-bind-address"
	if c.Flags["config"] != "" {
		flag = "" // the file stands for all flags
	}
	address := settings.Effective(c, flag, "metricsBindAddress", "")
	if address == "" || strings.HasPrefix(address, "localhost") {
		return nil
	}
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsLoopback() {
		return nil
	}
	if at, err := netip.ParseAddr(address); err == nil && at.IsLoopback() {
		return nil
	}
	return settings.One("metricsBindAddress", " shows its metrics to whoever reaches "+address)
}, "flags: {metrics-bind-address: '0.0.0.0:10249'}"))

// argument gives the finding about the first argument of a container that turns one of the flags
// on. What a fact holds as a class alone, since it looks confidential, is not judged.
func argument(c workload.Container, flags map[string]string) (bailey.Finding, bool) {
	for _, arg := range append(slices.Clone(c.Command), c.Args...) {
		name, value, given := strings.Cut(arg, "=")
		if message := flags[name]; message != "" && (!given || value == "true") {
			return c.Finding(".args", "container "+c.Name+" "+message+" ("+name+")"), true
		}
	}
	return bailey.Finding{}, false
}

// imageNamed reports whether the last part of an image's name is the given one.
func imageNamed(image, name string) bool {
	return path.Base(imageref.FullName(image)) == name
}

// containerRule completes a rule on the arguments of containers of one image.
func containerRule(r bailey.Rule, isIt func(image string) bool, flags map[string]string, bad ...string) *bailey.Rule {
	r.On = bailey.PodBearing
	r.Check = func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for c := range w.Containers() {
			if !isIt(c.Image) {
				continue
			}
			if finding, is := argument(c, flags); is {
				found = append(found, finding)
			}
		}
		return found
	}
	r.Bad = bad
	return &r
}

var openDashboard = containerRule(bailey.Rule{
	Name:  "dashboard-without-login",
	Title: "Dashboard asks for no login",
	Doc: `Reads the arguments of the Kubernetes dashboard. With --enable-skip-login whoever reaches it acts with its
ServiceAccount; with --enable-insecure-login credentials travel in plain text; with --disable-settings-authorizer
anybody changes its settings. Dashboards like that have been how clusters were taken over.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/hardening-guide/authorization-hardening/", "Hardening Guide - Authorization"),
		ref.NIST("AC-3"), ref.ATTACK("T1133")},
}, func(image string) bool {
	return strings.Contains(image, "kubernetesui/dashboard") || imageNamed(image, "kubernetes-dashboard") || imageNamed(image, "kubernetes-dashboard-amd64")
}, map[string]string{
	"--enable-skip-login":           "lets everybody in without a login",
	"--enable-insecure-login":       "takes logins in plain text",
	"--disable-settings-authorizer": "lets everybody change its settings",
}, `apiVersion: apps/v1
kind: Deployment
metadata: {name: bad, namespace: kubernetes-dashboard}
spec: {template: {spec: {containers: [{name: d, image: "kubernetesui/dashboard:v2.7.0", args: [--enable-skip-login]}]}}}
`)

var unverifiedMetrics = containerRule(bailey.Rule{
	Name:  "metrics-server-unverified",
	Title: "metrics-server does not verify kubelets",
	Doc: `Reads the arguments of metrics-server. With --kubelet-insecure-tls it sends its token to whoever answers at a node's
address, and autoscaling goes by what that one says. Kubelets whose serving certificates the cluster signed
(serverTLSBootstrap) can be verified.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Page("metrics-server", "Requirements", "https://github.com/kubernetes-sigs/metrics-server#requirements"),
		ref.NIST("SC-8"), ref.ATTACK("T1528")},
}, func(image string) bool { return imageNamed(image, "metrics-server") }, map[string]string{
	"--kubelet-insecure-tls": "believes whoever answers in a kubelet's place",
}, `apiVersion: apps/v1
kind: Deployment
metadata: {name: bad, namespace: kube-system}
spec: {template: {spec: {containers: [{name: m, image: "registry.k8s.io/metrics-server/metrics-server:v0.8.0", args: [--kubelet-insecure-tls]}]}}}
`)
