package devcluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// nodeNeeds names what a node runs, by the Debian package that has it.
var nodeNeeds = map[string][]string{
	"containerd":                  {"containerd", "containerd-shim-runc-v2", "ctr"},
	"runc":                        {"runc"},
	"containernetworking-plugins": {cniPlugins + "/ptp", cniPlugins + "/host-local", cniPlugins + "/portmap", cniPlugins + "/loopback"},
	"nftables":                    {"nft"},
	"iptables":                    {"iptables"}, // of the plugin portmap
	"iproute2":                    {"ip"},
	"util-linux":                  {"nsenter", "pivot_root"},
	"mount":                       {"mount", "umount"},
}

// NodeSupported returns an error that names everything which a node needs and is missing
// here: root, the capability to make namespaces, programs and the packages that hold them.
func NodeSupported() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("devcluster: a node runs on amd64 only, not on %s", runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("devcluster: a node needs root\nhint: run it as root; the control plane alone does not need it")
	}
	var packages []string
	for name, programs := range nodeNeeds {
		missing := func(program string) bool { _, err := lookPath(program); return err != nil }
		if slices.ContainsFunc(programs, missing) {
			packages = append(packages, name)
		}
	}
	if len(packages) > 0 {
		slices.Sort(packages)
		list := strings.Join(packages, " ")
		return fmt.Errorf("devcluster: a node needs programs that are not installed, of the packages %s\nhint: on Debian, apt-get install --no-install-recommends %s", list, list)
	}
	if len(hierarchies()) == 0 {
		return fmt.Errorf("devcluster: a node needs version 1 of cgroups, mounted below %s; with version 2 it has not been tried", cgroupRoot)
	}
	if err := capable(); err != nil {
		return fmt.Errorf("devcluster: a node needs namespaces and cgroups of its own, which root may not make here: %w\nhint: is this a container? It needs CAP_SYS_ADMIN and CAP_NET_ADMIN", err)
	}
	return nil
}

// lookPath finds a program also where an ordinary PATH has no system programs.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil || filepath.IsAbs(program) {
		return path, err
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// capable tries what a node needs.
func capable() error {
	network, err := newNamespace()
	if err != nil {
		return err
	}
	defer network.Close()
	if err := network.forward(); err != nil {
		return err
	}
	probe := tempPrefix + "probe-" + fmt.Sprint(unix.Getpid())
	if err := makeCgroups(probe); err != nil {
		return err
	}
	return removeCgroups(probe)
}
