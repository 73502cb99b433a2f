package compute

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var nodeOSRules = []*bailey.Rule{writableRoot, packageManager, looseSysctl, noSecurityModule, strangeListener}

const hostHead = "apiVersion: bailey.dev/v1\nkind: Host\nmetadata: {name: node-1}\nnode: node-1\n"

// hostRule completes a rule on machines.
func hostRule(r bailey.Rule, check func(h *bailey.Host) []bailey.Finding, bad ...string) *bailey.Rule {
	r.On = []bailey.Kind{bailey.KindHost}
	r.Check = func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		h, ok := bailey.As[*bailey.Host](f)
		if !ok {
			return nil
		}
		return check(h)
	}
	for _, text := range bad {
		r.Bad = append(r.Bad, hostHead+text+"\n")
	}
	return &r
}

var writableRoot = hostRule(bailey.Rule{
	Name:  "writable-root",
	Title: "A node's programs can be changed",
	Doc: `Where /usr, or / if /usr is no mount of its own, is mounted read-only (Bottlerocket, Talos, Flatcar, Container-Optimized
OS) what an intruder writes does not survive, and programs are those that were shipped.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CNCF(220, "The operating system is made for containers"), ref.CNCF(228, "Configuration cannot be changed at run time"), ref.ATTACK("T1543")},
}, func(h *bailey.Host) []bailey.Finding {
	var programs *bailey.HostMount
	for i := range h.Mounts {
		if m := &h.Mounts[i]; m.Path == "/usr" || m.Path == "/" && programs == nil {
			programs = m
		}
	}
	if programs == nil || programs.ReadOnly || programs.Type == "squashfs" || programs.Type == "erofs" {
		return nil
	}
	return []bailey.Finding{{Field: "mounts", Message: h.Node + " has " + programs.Path + " mounted writable (" + programs.Type + ")"}}
}, "mounts: [{path: /, type: ext4}]")

var packageManager = hostRule(bailey.Rule{
	Name:     "package-manager",
	Title:    "A node has a package manager",
	Doc:      `Whoever lands on the node installs what they need with it. Systems made for containers have none.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.CNCF(220, "The operating system is made for containers"), ref.NIST("CM-7")},
}, func(h *bailey.Host) []bailey.Finding {
	if len(h.PackageManagers) == 0 {
		return nil
	}
	return []bailey.Finding{{Field: "packageManagers", Message: h.Node + " can install software with " + strings.Join(h.PackageManagers, ", ")}}
}, "packageManagers: [apt-get]")

// wantedSysctls are kernel settings by which a container has less to attack, each with the
// values that are as good.
var wantedSysctls = []struct {
	name string
	good []string
	why  string
}{
	{"kernel.unprivileged_bpf_disabled", []string{"1", "2"}, "anybody may load programs into the kernel"},
	{"kernel.kptr_restrict", []string{"1", "2"}, "anybody may read the kernel's addresses"},
	{"kernel.dmesg_restrict", []string{"1"}, "anybody may read the kernel's log"},
	{"kernel.randomize_va_space", []string{"2"}, "addresses are not random"},
	{"kernel.yama.ptrace_scope", []string{"1", "2", "3"}, "a process may read the memory of any other of its user"},
	{"fs.protected_hardlinks", []string{"1"}, "links lead privileged programs astray"},
	{"fs.protected_symlinks", []string{"1"}, "links lead privileged programs astray"},
	{"vm.unprivileged_userfaultfd", []string{"0"}, "anybody may hold the kernel up in the middle of an access"},
	{"kernel.perf_event_paranoid", []string{"2", "3", "4"}, "anybody may watch the kernel"},
	{"net.core.bpf_jit_harden", []string{"1", "2"}, "programs in the kernel are compiled unhardened"},
}

var looseSysctl = hostRule(bailey.Rule{
	Name:  "loose-kernel-setting",
	Title: "A node's kernel offers more than containers need",
	Doc: `Settings that take from unprivileged processes what kernel exploits begin with. A setting that the kernel does not have
was not seen, and is not held against it.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/linux-kernel-security-constraints/", "Linux kernel security constraints for Pods and containers"),
		ref.NIST("CM-7"), ref.ATTACK("T1068")},
}, func(h *bailey.Host) []bailey.Finding {
	var all []bailey.Finding
	for _, w := range wantedSysctls {
		if value, seen := h.Sysctls[w.name]; seen && !slices.Contains(w.good, value) {
			all = append(all, bailey.Finding{Field: "sysctls." + w.name, Message: fmt.Sprintf("%s has %s = %s: %s", h.Node, w.name, value, w.why)})
		}
	}
	return all
}, "sysctls: {kernel.kptr_restrict: '0'}")

var noSecurityModule = hostRule(bailey.Rule{
	Name:  "no-security-module",
	Title: "A node has neither AppArmor nor SELinux",
	Doc: `Kubernetes confines containers by whichever is active on the node; with neither, profiles and labels of pods mean
nothing there, and what a container's user may do nobody else bounds.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/linux-kernel-security-constraints/", "Linux kernel security constraints for Pods and containers"),
		ref.NIST("AC-3(3)"), ref.ATTACK("T1611")},
}, func(h *bailey.Host) []bailey.Finding {
	if len(h.SecurityModules) == 0 || slices.Contains(h.SecurityModules, "apparmor") || slices.Contains(h.SecurityModules, "selinux") {
		return nil
	}
	return []bailey.Finding{{Field: "securityModules", Message: h.Node + " runs containers with neither AppArmor nor SELinux (it has " + strings.Join(h.SecurityModules, ", ") + ")"}}
}, "securityModules: [capability, yama]")

// legacy are services that ask for no credential, or send it in plain text.
var legacy = map[string]string{"tcp/21": "FTP", "tcp/23": "telnet", "udp/69": "TFTP", "tcp/111": "the port mapper", "udp/111": "the port mapper",
	"tcp/512": "rexec", "tcp/513": "rlogin", "tcp/514": "rsh", "tcp/2375": "Docker without TLS", "tcp/4194": "cAdvisor", "tcp/10255": "the kubelet's read-only port"}

var strangeListener = hostRule(bailey.Rule{
	Name:  "unneeded-service",
	Title: "A node serves what a node does not need",
	Doc: `Services that ask for no credential or send it in plain text, reachable from other machines: telnet, the port mapper,
Docker without TLS, the kubelet's read-only port and others of their age.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.NIST("CM-7"), ref.ATTACK("T1133")},
}, func(h *bailey.Host) []bailey.Finding {
	var all []bailey.Finding
	for _, l := range h.Listeners {
		address, err := netip.ParseAddr(l.Address)
		name := legacy[l.Protocol+"/"+strconv.Itoa(l.Port)]
		if name == "" || err != nil || address.IsLoopback() {
			continue
		}
		f := bailey.Finding{Field: "listeners", Message: fmt.Sprintf("%s serves %s at %s", h.Node, name, netip.AddrPortFrom(address, uint16(l.Port)))}
		if l.Port == 2375 {
			f.Severity = bailey.SeverityCritical
		}
		all = append(all, f)
	}
	return all
}, "listeners: [{protocol: tcp, address: 0.0.0.0, port: 23}]")
