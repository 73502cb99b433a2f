package compute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Syscalls asks that a Linux security module confines workloads.
var Syscalls = &bailey.Control{
	ID:   "compute/syscalls",
	Asks: "AppArmor, seccomp or another Linux security module confines workloads",
	Doc: `Containers share the kernel of their node. Every system call that a workload may make without
needing it is attack surface: most container escapes begin with one of them.

Bailey judges the seccomp, AppArmor and SELinux settings of each container, pod settings and their
inheritance included, in the fields and in the old annotations. It knows that a container without a
seccomp profile runs unconfined unless its kubelet sets a default, that privileged containers ignore
profiles, and that a profile of type Localhost is only as good as the file on the node.

Enforced by RuntimeDefault patches, by the restricted Pod Security level, by the kubelet's seccompDefault,
and by a least-privilege profile recorded from what the workload does.

Proved by a probe that runs under the runtime's default profile and makes system calls that the profile
leaves out; each must fail. Profiles of a workload's own, AppArmor and SELinux are not tried in this version.`,
	Scope:   bailey.ScopeWorkload,
	Weighed: true,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/node/seccomp/", "Seccomp and Kubernetes"),
		ref.Kubernetes("tutorials/security/apparmor/", "Restrict a Container's Access to Resources with AppArmor"),
		ref.Kubernetes("concepts/security/linux-kernel-security-constraints/",
			"Linux kernel security constraints for Pods and containers"),
		ref.CIS("5.6.2", "Pods set the runtime's default seccomp profile"),
		ref.CIS("4.2.14", "Kubelets apply a seccomp profile by default"),
		ref.NSA("Hardening container environments"),
		ref.CNCF(226, "Only sanctioned capabilities and system calls"),
		ref.CNCF(315, "Mandatory access control is in use"),
		ref.NIST("AC-3(3)"),
		ref.NIST("CM-7"),
		ref.ATTACK("T1611"),
	},

	Rules: syscallsRules,

	Guards: syscallsGuards,

	Experiments: syscallsExperiments,
}
