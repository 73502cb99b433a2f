package deploy

import (
	"fmt"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/host"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var foundationRules = []*bailey.Rule{controllersProfiled, schedulerProfiled, sharedCredential, controllersReachable, schedulerReachable,
	openPaths, schedulerLookup, schedulerShared, keptPods, noRotation, noKubeletRotation, endlessStreams, noPidsLimit, noEvents, chainsNotKept, looseKernel, writableFile, readableFile, strangersFile, openData}

func profiles(kind bailey.Kind, name, item string) *bailey.Rule {
	return settings.Rule(kind, bailey.Rule{
		Name:  name,
		Title: "The " + kind.Program() + " offers profiles of itself",
		Doc: `/debug/pprof shows what the program works on; it is on unless --profiling=false. The page asks for a right to the path.
A kube-scheduler with --config ignores the flag: enableProfiling in the file says it.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{ref.CIS(item, "No profiling")},
	}, func(c *bailey.Component) []settings.Fault {
		switch {
		case kind == bailey.KindScheduler && c.Flags["config"] != "":
			if settings.Field(c.Config, "enableProfiling") == false {
				return nil
			}
			return settings.One("enableProfiling", " offers profiles of itself at /debug/pprof")
		case c.Flags["profiling"] == "false":
			return nil
		}
		return settings.One("--profiling", " offers profiles of itself at /debug/pprof")
	}, "flags: {leader-elect: 'true'}")
}

var (
	controllersProfiled = profiles(bailey.KindControllerManager, "controller-manager-profiling", "1.3.2")
	schedulerProfiled   = settings.Reading("config", profiles(bailey.KindScheduler, "scheduler-profiling", "1.4.1"))
)

// onLoopback reports whether a component serves to its own machine only, or to nobody.
func onLoopback(c *bailey.Component) bool {
	address := c.Flags["bind-address"]
	return address == "::1" || strings.HasPrefix(address, "127.") || c.Flags["secure-port"] == "0"
}

func reachable(kind bailey.Kind, name, item string) *bailey.Rule {
	return settings.Rule(kind, bailey.Rule{
		Name:  name,
		Title: "The " + kind.Program() + " can be reached from elsewhere",
		Doc: `It serves metrics and health to whoever the API server lets; nobody but its own machine needs more. Without
--bind-address it listens at every address.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{ref.CIS(item, "It listens at the loopback address")},
	}, func(c *bailey.Component) []settings.Fault {
		if onLoopback(c) {
			return nil
		}
		return settings.One("--bind-address", " listens at every address of its machine")
	}, "flags: {leader-elect: 'true'}")
}

var (
	controllersReachable = reachable(bailey.KindControllerManager, "controller-manager-reachable", "1.3.7")
	schedulerReachable   = reachable(bailey.KindScheduler, "scheduler-reachable", "1.4.2")
)

var sharedCredential = settings.Rule(bailey.KindControllerManager, bailey.Rule{
	Name:  "shared-controller-credential",
	Title: "All controllers share one credential",
	Doc: `With --use-service-account-credentials each controller acts as a ServiceAccount of its own, with the rights that it
needs and its own name in the audit log. Without it all of them have the rights of all.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("1.3.3", "Each controller has a credential of its own"), ref.NIST("AC-6")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["use-service-account-credentials"] == "true" {
		return nil
	}
	return settings.One("--use-service-account-credentials", " runs all controllers with one credential")
}, "flags: {leader-elect: 'true'}")

var noRotation = settings.Rule(bailey.KindControllerManager, bailey.Rule{
	Name:     "no-serving-rotation",
	Title:    "Kubelets' serving certificates are not rotated",
	Doc:      `The feature gate RotateKubeletServerCertificate is on unless it is turned off.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.3.6", "Kubelets' serving certificates are rotated")},
}, func(c *bailey.Component) []settings.Fault {
	if strings.Contains(c.Flags["feature-gates"], "RotateKubeletServerCertificate=false") {
		return settings.One("--feature-gates", " turns RotateKubeletServerCertificate off")
	}
	return nil
}, "flags: {feature-gates: RotateKubeletServerCertificate=false}")

func kubelet(r bailey.Rule, check func(c *bailey.Component) []settings.Fault, bad ...string) *bailey.Rule {
	return settings.Rule(bailey.KindKubelet, r, check, bad...)
}

var endlessStreams = kubelet(bailey.Rule{
	Name:  "endless-streams",
	Title: "An exec that nobody uses is kept open",
	Doc: `--streaming-connection-idle-timeout=0 ends no exec, attach or port-forward for being idle; the kubelet ends all of them
after 4 hours. Unset, and 0 in the configuration file, it is 4 hours; a 0 that the kubelet itself answers (configz) is
the flag's.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("4.2.5", "Idle streams end")},
}, func(c *bailey.Component) []settings.Fault {
	timeout := c.Flags["streaming-connection-idle-timeout"]
	if c.Answered {
		timeout = settings.Text(settings.Field(c.Config, "streamingConnectionIdleTimeout"))
	}
	if d, err := time.ParseDuration(timeout); err == nil && d == 0 {
		return settings.One("--streaming-connection-idle-timeout", " ends no connection for being idle")
	}
	return nil
}, "flags: {streaming-connection-idle-timeout: 0s}", "answered: true\nconfig: {streamingConnectionIdleTimeout: 0s}")

var noPidsLimit = kubelet(bailey.Rule{
	Name:  "no-pids-limit",
	Title: "A pod may use up all processes of its node",
	Doc: `Without podPidsLimit one pod that forks without end takes the node with it. Unset, and -1, is no limit but the
system's own.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("4.2.13", "The processes of a pod are bounded"),
		ref.Kubernetes("concepts/policy/pid-limiting/", "Process ID Limits And Reservations"), ref.ATTACK("T1499")},
}, func(c *bailey.Component) []settings.Fault {
	if n, ok := settings.Number(settings.Effective(c, "pod-max-pids", "podPidsLimit", "-1")); ok && n > 0 {
		return nil
	}
	return settings.One("podPidsLimit", " bounds no pod's processes")
}, "config: {podPidsLimit: -1}")

var noEvents = kubelet(bailey.Rule{
	Name:     "events-unbounded",
	Title:    "The kubelet's events are not bounded",
	Doc:      `eventRecordQPS 0 sends events without a limit, so that a node can flood the API server. Unset it is 50 a second.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.CIS("4.2.8", "Events are recorded, within a bound")},
}, func(c *bailey.Component) []settings.Fault {
	if n, ok := settings.Number(settings.Effective(c, "event-qps", "eventRecordQPS", "50")); !ok || n > 0 {
		return nil
	}
	return settings.One("eventRecordQPS", " sends events without a bound")
}, "config: {eventRecordQPS: 0}")

var chainsNotKept = kubelet(bailey.Rule{
	Name:     "iptables-not-kept",
	Title:    "The kubelet does not keep its packet filter rules",
	Doc:      `makeIPTablesUtilChains false leaves the rules that drop packets to closed services to somebody else.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("4.2.6", "Kubelets keep their packet filter rules")},
}, func(c *bailey.Component) []settings.Fault {
	if settings.Effective(c, "make-iptables-util-chains", "makeIPTablesUtilChains", "true") == "false" {
		return settings.One("makeIPTablesUtilChains", " does not keep its packet filter rules")
	}
	return nil
}, "config: {makeIPTablesUtilChains: false}")

var looseKernel = kubelet(bailey.Rule{
	Name:  "kernel-defaults-changed",
	Title: "The kubelet changes kernel settings behind the administrator's back",
	Doc: `With protectKernelDefaults the kubelet stops where the kernel is not set as it needs, in the place of setting it: what
an administrator hardened stays. Set the values first (vm.overcommit_memory=1, kernel.panic=10, kernel.panic_on_oops=1).`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/linux-kernel-security-constraints/", "Linux kernel security constraints for Pods and containers"), ref.NIST("CM-6")},
}, func(c *bailey.Component) []settings.Fault {
	if settings.Effective(c, "protect-kernel-defaults", "protectKernelDefaults", "false") == "true" {
		return nil
	}
	return settings.One("protectKernelDefaults", " sets the kernel as it likes")
}, "config: {protectKernelDefaults: false}")

// trusted are the roles of files that decide what the platform does.
func trusted(f *bailey.HostFile) bool {
	switch f.Role {
	case bailey.RoleConfig, bailey.RoleManifest, bailey.RoleService, bailey.RoleKubeconfig, bailey.RoleNetwork, bailey.RoleCredential:
		return true
	}
	return false
}

var writableFile = host.FileRule(bailey.Rule{
	Name:  "writable-configuration",
	Title: "Others than root may change what the platform runs",
	Doc: `Whoever may write to a static pod's manifest, a service unit, a kubeconfig or a component's configuration, or to a
folder of them, runs what they like as root at its next start.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("1.1.1", "Only root may write the API server's manifest"), ref.CIS("1.1.3", "Only root may write the controller manager's manifest"),
		ref.CIS("1.1.5", "Only root may write the scheduler's manifest"), ref.CIS("1.1.7", "Only root may write etcd's manifest"), ref.CIS("1.1.9", "Only root may write network plugins' files"),
		ref.CIS("4.1.1", "Only root may write the kubelet's service"), ref.CIS("4.1.9", "Only root may write the kubelet's configuration"), ref.ATTACK("T1543")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	switch {
	case !trusted(f):
	case f.Mode&0o002 != 0:
		return fmt.Sprintf("everybody on the machine may change %s, a %s: its mode is %s", f.Path, f.Role, host.Mode(f)), bailey.SeverityCritical
	case f.Mode&0o020 != 0 && f.GID != 0:
		return fmt.Sprintf("the group %d may change %s, a %s: its mode is %s", f.GID, f.Path, f.Role, host.Mode(f)), 0
	}
	return "", 0
}, "role: static pod manifest\ntype: file\nmode: 438")

var readableFile = host.FileRule(bailey.Rule{
	Name:  "readable-configuration",
	Title: "A file of the platform is readable by everybody",
	Doc: `The CIS Benchmark wants 0600 for manifests, units, kubeconfigs and configurations. One without a credential in it tells
a stranger how the node is set up and no more, so this is informative; one with a credential is access/tls's.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{ref.CIS("1.1.1", "The API server's manifest is root's alone"), ref.CIS("4.1.1", "The kubelet's service is root's alone"),
		ref.CIS("4.1.3", "kube-proxy's kubeconfig is root's alone"), ref.CIS("4.1.9", "The kubelet's configuration is root's alone")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	if !trusted(f) || f.Type != "file" || len(f.Holds) > 0 || f.Mode&0o006 != 0o004 {
		return "", 0
	}
	return fmt.Sprintf("everybody on the machine may read %s, a %s: its mode is %s", f.Path, f.Role, host.Mode(f)), 0
}, "role: configuration\ntype: file\nmode: 420")

var strangersFile = host.FileRule(bailey.Rule{
	Name:  "not-roots-file",
	Title: "A file of the platform belongs to somebody else than root",
	Doc: `Its owner changes it at will, whatever its mode says. etcd's data may be etcd's own; its manifest and its keys are
root's.`,
	Refs: []bailey.Reference{ref.CIS("1.1.2", "Root owns the API server's manifest"), ref.CIS("1.1.4", "Root owns the controller manager's manifest"), ref.CIS("1.1.6", "Root owns the scheduler's manifest"),
		ref.CIS("1.1.8", "Root owns etcd's manifest"), ref.CIS("1.1.10", "Root owns network plugins' files"), ref.CIS("1.1.14", "Root owns administrators' credentials"),
		ref.CIS("1.1.16", "Root owns the scheduler's credentials"), ref.CIS("1.1.18", "Root owns the controller manager's credentials"), ref.CIS("1.1.19", "Root owns keys and certificates"),
		ref.CIS("4.1.2", "Root owns the kubelet's service"), ref.CIS("4.1.4", "Root owns kube-proxy's kubeconfig"), ref.CIS("4.1.6", "Root owns the kubelet's kubeconfig"),
		ref.CIS("4.1.8", "Root owns the kubelet's authorities"), ref.CIS("4.1.10", "Root owns the kubelet's configuration")},
	Severity: bailey.SeverityMedium,
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	keys := f.Role == bailey.RoleKey || f.Role == bailey.RoleCertificate || f.Role == bailey.RolePKI
	if f.UID == 0 || !trusted(f) && !keys {
		return "", 0
	}
	return fmt.Sprintf("%s, a %s, belongs to the user %d", f.Path, f.Role, f.UID), 0
}, "role: configuration\ntype: file\nmode: 384\nuid: 1000")

var openData = host.FileRule(bailey.Rule{
	Name:  "open-data-folder",
	Title: "Others than its owner may look into the store's folder",
	Doc: `etcd's folder holds every object, every Secret included where nothing encrypts them. CIS wants 0700, and a user of its
own to own it: as which user etcd runs is not read, and so not who should own it.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.1.11", "etcd's folder is its own"), ref.CIS("1.1.12", "etcd's folder belongs to etcd"), ref.ATTACK("T1552")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	if f.Role != bailey.RoleData || f.Type != "folder" || !strings.Contains(strings.Join(f.Uses, " "), "etcd --") && !strings.HasSuffix(f.Path, "/server/db") {
		return "", 0
	}
	switch {
	case f.Mode&0o007 != 0:
		return fmt.Sprintf("everybody on the machine may look into %s: its mode is %s", f.Path, host.Mode(f)), 0
	case f.Mode&0o070 != 0 && f.GID != 0:
		return fmt.Sprintf("the group %d may look into %s: its mode is %s", f.GID, f.Path, host.Mode(f)), bailey.SeverityMedium
	}
	return "", 0
}, "role: data folder\ntype: folder\nmode: 493\npath: /var/lib/etcd\nuses: [etcd --data-dir]")
