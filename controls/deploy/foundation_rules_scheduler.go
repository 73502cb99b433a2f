package deploy

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var (
	schedulerGuide = ref.Kubernetes("concepts/security/hardening-guide/scheduler/", "Hardening Guide - Scheduler Configuration")
	schedulers     = []bailey.Kind{bailey.KindScheduler, bailey.KindControllerManager}
)

// healthPaths are the paths that say no more than that a component is alive.
var healthPaths = []string{"/healthz", "/healthz/*", "/readyz", "/readyz/*", "/livez", "/livez/*"}

var openPaths = settings.RuleOn(schedulers, bailey.Rule{
	Name:  "open-paths",
	Title: "A controller or scheduler shows paths to everybody",
	Doc: `Reads --authorization-always-allow-paths of the kube-scheduler and the kube-controller-manager: what it names is served
without a credential. Health is harmless; metrics name what runs, and profiles show the memory. One that listens at the
loopback address shows them to its own machine only, and is let be.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{schedulerGuide, ref.NIST("AC-3")},
}, func(c *bailey.Component) []settings.Fault {
	if onLoopback(c) {
		return nil
	}
	for _, path := range settings.List(c, "authorization-always-allow-paths") {
		if !slices.Contains(healthPaths, path) {
			return settings.One("--authorization-always-allow-paths", " shows "+path+" to everybody who reaches it")
		}
	}
	return nil
}, "flags: {authorization-always-allow-paths: '/healthz,/metrics'}")

var schedulerLookup = settings.RuleOn(schedulers, bailey.Rule{
	Name:  "callers-not-looked-up",
	Title: "A controller or scheduler does not ask who calls",
	Doc: `Without --authentication-kubeconfig, or with --authentication-skip-lookup, the kube-scheduler and the
kube-controller-manager take every caller for a stranger: a monitoring system gets in only by paths that are open to
all. One that listens at the loopback address is let be.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{schedulerGuide},
}, func(c *bailey.Component) []settings.Fault {
	switch {
	case onLoopback(c):
	case c.Flags["authentication-skip-lookup"] == "true":
		return settings.One("--authentication-skip-lookup", " does not ask the API server whom to believe")
	case c.Flags["authentication-kubeconfig"] == "":
		return settings.One("--authentication-kubeconfig", " takes every caller for a stranger")
	}
	return nil
}, "flags: {leader-elect: 'true'}")

var schedulerShared = settings.RuleOn(schedulers, bailey.Rule{
	Name:  "shared-port",
	Title: "A controller or scheduler shares its port",
	Doc: `With --permit-port-sharing or --permit-address-sharing another program of the same user may listen beside the
component, and is handed a part of its callers.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{schedulerGuide},
}, func(c *bailey.Component) []settings.Fault {
	for _, flag := range []string{"permit-port-sharing", "permit-address-sharing"} {
		if c.Flags[flag] == "true" {
			return settings.One("--"+flag, " lets another program listen beside it")
		}
	}
	return nil
}, "flags: {permit-port-sharing: 'true'}")

var keptPods = settings.Rule(bailey.KindControllerManager, bailey.Rule{
	Name:  "ended-pods-kept",
	Title: "Pods that ended are never removed",
	Doc: `With --terminated-pod-gc-threshold 0 or less nothing removes pods that ended: they fill etcd. Unset it is 12,500; which
number fits is up to the size of the cluster.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.3.1", "Pods that ended are removed"), ref.NIST("SC-5")},
}, func(c *bailey.Component) []settings.Fault {
	if n, ok := settings.Number(c.Flags["terminated-pod-gc-threshold"]); ok && n <= 0 {
		return settings.One("--terminated-pod-gc-threshold", " never removes pods that ended")
	}
	return nil
}, "flags: {terminated-pod-gc-threshold: '0'}")

var noKubeletRotation = kubelet(bailey.Rule{
	Name:     "no-kubelet-serving-rotation",
	Title:    "The kubelet does not renew its serving certificate",
	Doc:      `The feature gate RotateKubeletServerCertificate is on unless it is turned off.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("4.2.11", "Kubelets renew their serving certificates")},
}, func(c *bailey.Component) []settings.Fault {
	if settings.Field(c.Config, "featureGates.RotateKubeletServerCertificate") == false ||
		strings.Contains(c.Flags["feature-gates"], "RotateKubeletServerCertificate=false") {
		return settings.One("featureGates.RotateKubeletServerCertificate", " does not renew its serving certificate")
	}
	return nil
}, "config: {featureGates: {RotateKubeletServerCertificate: false}}")
