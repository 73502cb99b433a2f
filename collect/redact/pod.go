package redact

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func podSpec(spec *corev1.PodSpec) {
	for i := range spec.InitContainers {
		container(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		container(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		container((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	for i := range spec.Volumes {
		volume(&spec.Volumes[i].VolumeSource)
	}
}

func container(c *corev1.Container) {
	c.Command = command(c.Command)
	c.Args = arguments(c.Args)
	for i := range c.Env {
		c.Env[i].Value = Value(c.Env[i].Value)
	}
	for i := range c.VolumeMounts {
		each(c.VolumeMounts[i].BindMountOptions)
	}
	probe(c.LivenessProbe)
	probe(c.ReadinessProbe)
	probe(c.StartupProbe)
	if c.Lifecycle != nil {
		hook(c.Lifecycle.PostStart)
		hook(c.Lifecycle.PreStop)
	}
	c.Image = Credential(c.Image)
}

func probe(p *corev1.Probe) {
	if p == nil {
		return
	}
	if p.Exec != nil {
		p.Exec.Command = command(p.Exec.Command)
	}
	httpGet(p.HTTPGet)
}

func hook(h *corev1.LifecycleHandler) {
	if h == nil {
		return
	}
	if h.Exec != nil {
		h.Exec.Command = command(h.Exec.Command)
	}
	httpGet(h.HTTPGet)
}

func httpGet(h *corev1.HTTPGetAction) {
	if h == nil {
		return
	}
	h.Path = Credential(h.Path)
	for i := range h.HTTPHeaders {
		h.HTTPHeaders[i].Value = Value(h.HTTPHeaders[i].Value)
	}
}

func volume(v *corev1.VolumeSource) {
	if v.CSI != nil {
		attributes(v.CSI.Driver, v.CSI.VolumeAttributes)
	}
	if v.FlexVolume != nil {
		values(v.FlexVolume.Options)
	}
	if v.GitRepo != nil {
		v.GitRepo.Repository = Credential(v.GitRepo.Repository)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		annotations(v.Ephemeral.VolumeClaimTemplate.Annotations)
	}
}

// nfsDriver is the CSI driver for NFS of the Kubernetes project, whose attributes are a
// server, a path and mount options.
const nfsDriver = "nfs.csi.k8s.io"

// attributes treats what a CSI driver is told of a volume.
func attributes(driver string, m map[string]string) {
	if driver == nfsDriver {
		credentials(m)
		return
	}
	values(m)
}

// values replaces every value of the map.
func values(m map[string]string) {
	for k, v := range m {
		m[k] = Value(v)
	}
}

// command keeps the program that is run, as far as it is just a name, and
// treats the rest as arguments.
func command(args []string) []string {
	if len(args) == 0 {
		return args
	}
	if program := args[0]; len(program) > 256 || !isMadeOf(program, "/._-+:@") || Credential(program) != program || isOpaque(program) && program[0] != '/' {
		args[0] = Value(program)
	}
	arguments(args[1:])
	return args
}

// arguments replaces the values in place. The names of flags stay: "--user=x"
// and "--user", "x" alike.
func arguments(args []string) []string {
	for i, arg := range args {
		args[i] = argument(arg)
	}
	return args
}

func argument(arg string) string {
	if len(arg) < 2 || arg[0] != '-' {
		return Value(arg)
	}
	name, value, assigned := strings.Cut(arg, "=")
	switch {
	case isFlagName(name, assigned):
		if !assigned {
			return arg
		}
		return name + "=" + Value(value)
	case isLetter(arg[1]):
		return arg[:2] + Value(arg[2:]) // mysql -phunter2
	}
	return Value(arg)
}

// isFlagName reports whether the text can be shown as the name of a flag.
// Behind a single dash the value may follow its letter at once, so there only
// names that are known to be whole words are shown.
func isFlagName(s string, assigned bool) bool {
	name := strings.TrimLeft(s, "-")
	dashes := len(s) - len(name)
	if name == "" {
		return dashes == 2
	}
	if dashes > 2 || len(name) > longestName || !isLetter(name[0]) || !isMadeOf(name, "-_.") || isOpaque(name) || Credential(name) != name {
		return false
	}
	if dashes == 2 || len(name) == 1 || assigned {
		return true
	}
	switch name {
	case "password", "passwd", "pass", "passphrase", "token", "secret", "key", "apikey", "api-key", "user", "username",
		"config", "log", "listen", "port", "host", "addr", "debug", "verbose", "jar", "cp", "ec", "lc", "ce":
		return true
	}
	return false
}
