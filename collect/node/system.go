package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/baileyhq/bailey"
)

// sysctls are the kernel settings that rules ask for: the kubelet by way of
// protectKernelDefaults, and the Linux kernel constraints of the documentation.
var sysctls = []string{
	"vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes",
	"kernel.kptr_restrict", "kernel.dmesg_restrict", "kernel.unprivileged_bpf_disabled", "kernel.yama.ptrace_scope", "kernel.modules_disabled",
	"kernel.kexec_load_disabled", "kernel.perf_event_paranoid", "kernel.randomize_va_space", "kernel.sysrq", "kernel.unprivileged_userns_clone",
	"fs.protected_hardlinks", "fs.protected_symlinks", "fs.protected_fifos", "fs.protected_regular", "fs.suid_dumpable",
	"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.all.send_redirects", "net.ipv4.conf.all.accept_source_route",
	"net.ipv4.tcp_syncookies", "net.core.bpf_jit_harden", "vm.unprivileged_userfaultfd",
}

// packageManagers are programs that install software, where they are.
var packageManagers = []string{"/usr/bin/apt-get", "/usr/bin/dnf", "/usr/bin/yum", "/usr/bin/microdnf", "/usr/bin/zypper", "/sbin/apk", "/usr/bin/apk", "/usr/bin/pacman", "/usr/bin/rpm-ostree", "/usr/bin/tdnf"}

// systemFolders are the mounts that rules ask for.
var systemFolders = []string{"/", "/usr", "/etc", "/var", "/var/lib/kubelet", "/tmp", "/boot"}

// system reads the operating system and its kernel.
func (c *collector) system() {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := readBounded(c.inRoot(name), 64<<10); err == nil {
			c.host.OS = osRelease(string(text))
			break
		}
	}
	if c.host.OS == nil {
		c.unseen("os-release")
	}
	c.host.Kernel = c.procText("sys/kernel/osrelease")
	c.host.Sysctls = map[string]string{}
	for _, name := range sysctls {
		if value := c.procText("sys/" + strings.ReplaceAll(name, ".", "/")); value != "" {
			c.host.Sysctls[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	if text, err := readBounded(filepath.Join(c.proc, "1/mounts"), 4<<20); err == nil {
		c.host.Mounts = mounts(string(text))
	}
	if len(c.host.Mounts) == 0 {
		c.unseen("mounts")
	}
	for _, name := range packageManagers {
		if info, err := os.Stat(c.inRoot(name)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			c.host.PackageManagers = append(c.host.PackageManagers, filepath.Base(name))
		}
	}
	slices.Sort(c.host.PackageManagers)
	c.host.PackageManagers = slices.Compact(c.host.PackageManagers)
	security := "/sys/kernel/security/"
	if text, err := readBounded(c.inRoot(security+"lsm"), 4<<10); err == nil {
		c.host.SecurityModules = strings.Split(strings.TrimSpace(string(text)), ",")
	} else {
		c.unseen("security modules")
	}
	if text, err := readBounded(c.inRoot(security+"lockdown"), 4<<10); err == nil {
		c.host.Lockdown = bracketed(string(text))
	}
}

// inRoot is where a file of the machine can be read.
func (c *collector) inRoot(name string) string {
	joined, err := securejoin.SecureJoin(c.root, name)
	if err != nil {
		return filepath.Join(c.root, name)
	}
	return joined
}

// procText is the text of a file of the process file system; empty if it cannot be read.
func (c *collector) procText(name string) string {
	text, err := readBounded(filepath.Join(c.proc, name), 64<<10)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// osRelease reads os-release(5).
func osRelease(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(key, "#") || len(values) > 100 {
			continue
		}
		values[key] = strings.Trim(value, `"'`)
	}
	return values
}

// mounts reads mounts(5); of several at one path the last holds.
func mounts(text string) []bailey.HostMount {
	last := map[string]bailey.HostMount{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !slices.Contains(systemFolders, fields[1]) {
			continue
		}
		options := strings.Split(fields[3], ",")
		last[fields[1]] = bailey.HostMount{Path: fields[1], Type: fields[2], ReadOnly: slices.Contains(options, "ro"), Options: options}
	}
	all := make([]bailey.HostMount, 0, len(last))
	for _, path := range sortedKeys(last) {
		all = append(all, last[path])
	}
	return all
}

// bracketed gives the word in brackets: "none [integrity] confidentiality".
func bracketed(text string) string {
	_, rest, found := strings.Cut(text, "[")
	word, _, closed := strings.Cut(rest, "]")
	if !found || !closed {
		return ""
	}
	return word
}
