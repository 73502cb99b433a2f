package posture

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

// Paths of a node by which whoever mounts them holds the node, with what is below them.
var nodePaths = []string{"/etc", "/root", "/home", "/proc", "/sys", "/dev", "/boot", "/run", "/var/run", "/var/lib/kubelet", "/var/lib/containerd",
	"/var/lib/docker", "/var/lib/etcd", "/usr", "/bin", "/sbin", "/lib", "/opt/cni"}

// plainPaths are below nodePaths, and whoever writes to them does not hold the node by it:
// the socket of syslog, devices that give nothing, the time zone.
var plainPaths = []string{"/dev/log", "/dev/null", "/dev/shm", "/dev/urandom", "/etc/localtime", "/etc/timezone"}

// IsPlainPath reports whether a path of a node gives whoever mounts it next to nothing,
// though it lies in a directory that does.
func IsPlainPath(path string) bool { return slices.Contains(plainPaths, "/"+strings.Trim(path, "/")) }

// Capabilities by which a process leaves its container, and those by which it
// reaches far beyond it.
var (
	escapes  = []corev1.Capability{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "BPF", "DAC_READ_SEARCH", "SYS_BOOT", "MAC_ADMIN"}
	reaching = []corev1.Capability{"NET_ADMIN", "NET_RAW", "PERFMON", "SYS_CHROOT", "SYS_TIME", "SYSLOG", "DAC_OVERRIDE", "SETPCAP", "MKNOD", "SETUID", "SETGID"}
)

// NodePrivilege is one by which whoever breaks into a workload holds its node.
type NodePrivilege struct {
	Text  string // "container web: privileged"
	Field string // of the workload that gives it
}

// NodePrivileges are those of a workload, in the order of its fields.
func NodePrivileges(f *bailey.Fact) []NodePrivilege {
	var all []NodePrivilege
	for _, t := range privileges(f) {
		if t.node {
			all = append(all, NodePrivilege{t.text, t.field})
		}
	}
	return all
}

// privileges are those of a workload.
func privileges(f *bailey.Fact) []trait {
	w, is := workload.Of(f)
	if !is {
		return nil
	}
	var all []trait
	add := func(key, text, field string, gain bailey.Severity, node bool) {
		all = append(all, trait{class: bailey.EffectPrivilege, object: f.Ref, key: key, text: text, gain: gain, source: f.Source.At(field), field: field, node: node})
	}
	spec := w.Spec
	for _, host := range []struct {
		on    bool
		field string
		gain  bailey.Severity
	}{{spec.HostPID, "hostPID", bailey.SeverityCritical}, {spec.HostNetwork, "hostNetwork", bailey.SeverityHigh}, {spec.HostIPC, "hostIPC", bailey.SeverityHigh}} {
		if host.on {
			add(host.field, "shares the node's namespace: "+host.field, w.Path+"."+host.field, host.gain, host.field == "hostPID")
		}
	}
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.HostPath != nil {
			mode, gain := "writable", bailey.SeverityHigh
			if onlyRead(w, v.Name) {
				mode, gain = "read-only", bailey.SeverityMedium
			}
			if isNodePath(v.HostPath.Path) && !IsPlainPath(v.HostPath.Path) {
				gain++
			}
			add("hostPath "+v.HostPath.Path+" "+mode, fmt.Sprintf("mounts the node's %s, %s", v.HostPath.Path, mode), fmt.Sprintf("%s.volumes[%d].hostPath", w.Path, i), gain,
				gain == bailey.SeverityCritical)
		}
	}
	if name := spec.ServiceAccountName; name != "" && name != "default" {
		add("account "+name, "runs as ServiceAccount "+name, w.Path+".serviceAccountName", bailey.SeverityLow, false)
	}
	if pod := spec.SecurityContext; pod != nil {
		for _, s := range pod.Sysctls {
			add("sysctl "+s.Name, "sets the sysctl "+s.Name, w.Path+".securityContext.sysctls", bailey.SeverityMedium, false)
		}
	}
	if class := spec.RuntimeClassName; class != nil && *class != "" {
		all = append(all, trait{class: bailey.EffectProtection, object: f.Ref, key: "runtimeClass", value: *class, text: "runs in RuntimeClass " + *class,
			gain: bailey.SeverityMedium, source: f.Source.At(w.Path + ".runtimeClassName"),
			changed: func(before string) (string, bailey.Severity, bool) {
				return "runs in RuntimeClass " + *class + ", and ran in " + before, bailey.SeverityMedium, false
			}})
	}
	for c := range w.Containers() {
		all = append(all, ofContainer(f, w, c)...)
	}
	return all
}

// ofContainer gives the privileges and the image of one container.
func ofContainer(f *bailey.Fact, w workload.Workload, c workload.Container) []trait {
	var all []trait
	where := "container " + c.Name
	add := func(key, text, suffix string, gain bailey.Severity) {
		all = append(all, trait{class: bailey.EffectPrivilege, object: f.Ref, key: where + " " + key, text: where + ": " + text, gain: gain, source: f.Source.At(c.Field(suffix)), field: c.Field(suffix)})
	}
	own, pod := c.SecurityContext, w.Spec.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	const sc = ".securityContext"
	if isTrue(own.Privileged) {
		add("privileged", "privileged", sc+".privileged", bailey.SeverityCritical)
		all[len(all)-1].node = true
	}
	dropsAll := false
	if own.Capabilities != nil {
		for _, capability := range own.Capabilities.Add {
			name := corev1.Capability(strings.TrimPrefix(strings.ToUpper(string(capability)), "CAP_"))
			gain := bailey.SeverityLow
			switch {
			case slices.Contains(escapes, name):
				gain = bailey.SeverityCritical
			case slices.Contains(reaching, name):
				gain = bailey.SeverityHigh
			}
			add("capability "+string(name), "capability "+string(name), sc+".capabilities.add", gain)
			// Without the node's processes in sight there is nothing of it to trace.
			all[len(all)-1].node = slices.Contains(escapes, name) && (name != "SYS_PTRACE" || w.Spec.HostPID)
		}
		dropsAll = slices.Contains(own.Capabilities.Drop, "ALL")
	}
	if !dropsAll {
		add("drop", "keeps the runtime's default capabilities", sc+".capabilities.drop", bailey.SeverityLow)
	}
	if own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation {
		add("escalation", "may gain privileges (allowPrivilegeEscalation)", sc+".allowPrivilegeEscalation", bailey.SeverityMedium)
	}
	user, nonRoot := first(own.RunAsUser, pod.RunAsUser), first(own.RunAsNonRoot, pod.RunAsNonRoot)
	switch {
	case user != nil && *user == 0:
		add("root", "runs as root", sc+".runAsUser", bailey.SeverityMedium)
	case user == nil && !isTrue(nonRoot):
		add("root", "may run as root", sc+".runAsNonRoot", bailey.SeverityMedium)
	}
	if profile := first(own.SeccompProfile, pod.SeccompProfile); profile == nil || profile.Type == corev1.SeccompProfileTypeUnconfined {
		add("seccomp", "runs without a seccomp profile", sc+".seccompProfile", bailey.SeverityMedium)
	}
	if profile := first(own.AppArmorProfile, pod.AppArmorProfile); profile != nil && profile.Type == corev1.AppArmorProfileTypeUnconfined {
		add("apparmor", "runs outside AppArmor", sc+".appArmorProfile", bailey.SeverityMedium)
	}
	if own.ProcMount != nil && *own.ProcMount == corev1.UnmaskedProcMount {
		add("procMount", "sees all of /proc", sc+".procMount", bailey.SeverityHigh)
	}
	if !isTrue(own.ReadOnlyRootFilesystem) {
		add("root filesystem", "may write to its root filesystem", sc+".readOnlyRootFilesystem", bailey.SeverityInfo)
	}
	for i, p := range c.Ports {
		if p.HostPort != 0 {
			all = append(all, trait{class: bailey.EffectExposure, object: f.Ref, key: fmt.Sprintf("hostPort %d/%s", p.HostPort, p.Protocol),
				text: fmt.Sprintf("%s: port %d of every node that runs it", where, p.HostPort), gain: bailey.SeverityMedium, source: f.Source.At(c.Field(fmt.Sprintf(".ports[%d].hostPort", i)))})
		}
	}
	if c.Image != "" {
		all = append(all, imageOf(f, c, where))
	}
	return all
}

// imageOf is what a container runs. Another repository, or a digest that is given up,
// weighs more than another version of the same.
func imageOf(f *bailey.Fact, c workload.Container, where string) trait {
	now, err := imageref.Parse(c.Image)
	text, gain := where+": runs "+brief(c.Image), bailey.SeverityLow
	if err != nil || !now.Pinned() {
		text += ", not pinned by a digest"
		gain = bailey.SeverityMedium
	}
	return trait{class: bailey.EffectImage, object: f.Ref, key: where, value: c.Image, text: text, gain: gain, source: f.Source.At(c.Field(".image")),
		changed: func(before string) (string, bailey.Severity, bool) {
			was, wrong := imageref.Parse(before)
			text := fmt.Sprintf("%s: runs %s, and ran %s", where, brief(c.Image), brief(before))
			switch {
			case err != nil || wrong != nil:
				return text, bailey.SeverityMedium, true
			case was.Name() != now.Name():
				return text + ": another repository", bailey.SeverityMedium, true
			case was.Pinned() && !now.Pinned():
				return text + ": no longer pinned by a digest", bailey.SeverityMedium, true
			}
			return text, bailey.SeverityInfo, true
		}}
}

// brief is a reference with the beginning of its digest.
func brief(image string) string {
	if name, digest, pinned := strings.Cut(image, "@sha256:"); pinned && len(digest) > 12 {
		return name + "@sha256:" + digest[:12] + "…"
	}
	return image
}

// onlyRead reports whether every container mounts the volume read-only.
func onlyRead(w workload.Workload, volume string) bool {
	for c := range w.Containers() {
		for i := range c.VolumeMounts {
			if m := &c.VolumeMounts[i]; m.Name == volume && !m.ReadOnly {
				return false
			}
		}
	}
	return true
}

func isNodePath(path string) bool {
	path = "/" + strings.Trim(path, "/")
	return path == "/" || slices.ContainsFunc(nodePaths, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

func isTrue(b *bool) bool { return b != nil && *b }

func first[T any](own, pod *T) *T {
	if own != nil {
		return own
	}
	return pod
}
