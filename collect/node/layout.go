package node

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// platform reads what a process of the platform was started with, and the files
// that this names.
func (c *collector) platform(p *process) {
	c.service(p)
	switch {
	case p.kind != "":
		c.component(p)
	case within[p.program]:
		c.embedded(p)
	default:
		c.runtime(p)
	}
}

// component reads a component that is a process of its own.
func (c *collector) component(p *process) {
	if c.unread[p.kind] != "" {
		return
	}
	who := p.program
	if file := p.flags["config-file"]; p.kind == bailey.KindEtcd && file != "" { // it stands for all flags
		c.look(p, file, who+" --config-file", bailey.RoleConfig)
		if !c.etcdFile(p) {
			c.unread[p.kind] = file
			return
		}
	}
	component := &bailey.Component{Node: c.node, Version: c.versionOf(p), Flags: p.flags}
	for _, flag := range sortedKeys(p.flags) {
		for value := range strings.SplitSeq(p.flags[flag], ",") {
			value = strings.TrimPrefix(value, "unix://")
			if !path.IsAbs(value) {
				continue
			}
			f := c.look(p, value, who+" --"+flag, roleOf(flag))
			if f == nil || f.Type != "file" || f.Role != bailey.RoleConfig {
				continue
			}
			document := c.document(p, f, value)
			switch {
			case document == nil:
			case flag == "config":
				component.Config = document
			default:
				if component.Files == nil {
					component.Files = map[string]map[string]any{}
				}
				component.Files[flag] = document
			}
		}
	}
	if component.Config == nil && p.flags["config"] != "" {
		c.unread[p.kind] = p.flags["config"]
		return
	}
	if p.kind == bailey.KindKubelet {
		c.kubelet(p, component)
	}
	c.components[p.kind] = append(c.components[p.kind], component)
}

// etcdFile takes etcd's settings from its configuration file, in whose presence it ignores
// flags and environment, and reports whether it could be read.
func (c *collector) etcdFile(p *process) bool {
	text, err := readBounded(c.at(p, p.flags["config-file"]), maxDocument)
	var file map[string]any
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		c.skip(p.flags["config-file"], err)
		return false
	}
	clear(p.flags)
	for prefix, part := range map[string]any{"": file, "client": file["client-transport-security"], "peer": file["peer-transport-security"]} {
		m, _ := part.(map[string]any)
		var settings []string
		for name, value := range m {
			if prefix == "peer" {
				name = "peer-" + name
			}
			settings = append(settings, "ETCD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+fmt.Sprint(value))
		}
		object.EtcdEnvironment(p.flags, settings)
	}
	return true
}

// kubelet reads the drop-in files of a kubelet's configuration, and what its fields name.
func (c *collector) kubelet(p *process, component *bailey.Component) {
	if folder := p.flags["config-dir"]; folder != "" {
		component.Config = c.dropIns(p, folder, component.Config)
	}
	named := []struct {
		path []string
		role bailey.FileRole
	}{
		{[]string{"authentication", "x509", "clientCAFile"}, bailey.RoleCertificate},
		{[]string{"tlsCertFile"}, bailey.RoleCertificate},
		{[]string{"tlsPrivateKeyFile"}, bailey.RoleKey},
		{[]string{"containerRuntimeEndpoint"}, bailey.RoleSocket},
	}
	for _, n := range named {
		if value := strings.TrimPrefix(textAt(component.Config, n.path...), "unix://"); path.IsAbs(value) {
			c.look(p, value, "kubelet "+strings.Join(n.path, "."), n.role)
		}
	}
	folder := textAt(component.Config, "staticPodPath")
	if folder == "" {
		folder = p.flags["pod-manifest-path"]
	}
	if path.IsAbs(folder) {
		c.manifests(p, folder)
	}
	folder = p.flags["cert-dir"]
	if folder == "" {
		folder = "/var/lib/kubelet/pki"
	}
	c.keyFolder(p, folder, "kubelet's certificates")
}

// dropIns merges the files of a configuration folder, in the order of their names,
// into the configuration.
func (c *collector) dropIns(p *process, folder string, into map[string]any) map[string]any {
	for _, name := range c.list(p, folder) {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		file := path.Join(folder, name)
		f := c.look(p, file, p.program+" --config-dir", bailey.RoleConfig)
		into = merged(into, c.document(p, f, file))
	}
	return into
}

// merged lays one document over another: objects are merged, anything else is replaced.
func merged(below, above map[string]any) map[string]any {
	if below == nil {
		return above
	}
	for k, v := range above {
		inner, isMap := v.(map[string]any)
		old, wasMap := below[k].(map[string]any)
		if isMap && wasMap {
			v = merged(old, inner)
		}
		below[k] = v
	}
	return below
}

// manifests reads the static pods' manifests; a component that they describe and no
// process showed is read from there.
func (c *collector) manifests(p *process, folder string) {
	c.look(p, folder, "kubelet staticPodPath", bailey.RoleManifest)
	for _, name := range c.list(p, folder) {
		file := path.Join(folder, name)
		f := c.look(p, file, "kubelet staticPodPath", bailey.RoleManifest)
		if f == nil || f.Type != "file" || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := readBounded(c.at(p, file), maxDocument)
		if err != nil {
			c.skip(file, err)
			continue
		}
		pod := new(corev1.Pod)
		if err := yaml.Unmarshal(text, pod); err != nil || pod.Kind != "Pod" {
			continue
		}
		if fact := object.Component(pod); fact != nil {
			c.described[fact.Kind] = true
			c.static = append(c.static, fact)
		}
	}
}

// fromManifests takes the components that manifests describe and no process showed.
func (c *collector) fromManifests() {
	for _, fact := range c.static {
		component, _ := bailey.As[*bailey.Component](fact)
		if len(c.components[fact.Kind]) > 0 || c.unread[fact.Kind] != "" || component.Flags["config-file"] != "" {
			continue
		}
		component.Node = c.node
		c.components[fact.Kind] = []*bailey.Component{component}
	}
}

var networkFolder = regexp.MustCompile(`(?m)^\s*(?:conf_dir|network_dir)\s*=\s*"([^"]+)"`)

// runtime reads a container runtime's configuration, sockets and network folder.
func (c *collector) runtime(p *process) {
	file := "/etc/" + p.program + "/config.toml"
	for _, flag := range []string{"config", "c"} {
		if path.IsAbs(p.flags[flag]) {
			file = p.flags[flag]
		}
	}
	folder := "/etc/cni/net.d"
	if f := c.look(p, file, p.program+"'s configuration", bailey.RoleConfig); f != nil {
		if text, err := readBounded(c.at(p, file), maxDocument); err == nil {
			if m := networkFolder.FindSubmatch(text); m != nil {
				folder = string(m[1])
			}
		}
	}
	for _, flag := range []string{"address", "a", "host", "H", "listen"} {
		for value := range strings.SplitSeq(p.flags[flag], ",") {
			if value = strings.TrimPrefix(value, "unix://"); path.IsAbs(value) {
				c.look(p, value, p.program+" --"+flag, bailey.RoleSocket)
			}
		}
	}
	if c.look(p, folder, "network plugins", bailey.RoleNetwork) != nil {
		for _, name := range c.list(p, folder) {
			c.look(p, path.Join(folder, name), "network plugins", bailey.RoleNetwork)
		}
	}
}

// unitFolders are where systemd looks for units.
var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// service notes the files of the unit that starts a process.
func (c *collector) service(p *process) {
	if p.unit == "" || !sameFolder(p.root, c.root) {
		return
	}
	looked := map[string]bool{} // /lib is /usr/lib on most machines
	for _, folder := range unitFolders {
		where := c.at(p, folder)
		if looked[where] {
			continue
		}
		looked[where] = true
		c.look(p, path.Join(folder, p.unit), p.program+"'s service", bailey.RoleService)
		drops := path.Join(folder, p.unit+".d")
		for _, name := range c.list(p, drops) {
			c.look(p, path.Join(drops, name), p.program+"'s service", bailey.RoleService)
		}
	}
}

// list gives the names in a folder, sorted; none where it cannot be read.
func (c *collector) list(p *process, folder string) []string {
	f, err := os.OpenFile(c.at(p, folder), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		c.skip(folder, err)
		return nil
	}
	defer f.Close()
	names, err := f.Readdirnames(maxFiles)
	if err != nil && err != io.EOF {
		c.skip(folder, err)
	}
	slices.Sort(names)
	return names
}

// keyFolder notes a folder of keys and certificates, and what is in it.
func (c *collector) keyFolder(p *process, folder, use string) {
	if c.look(p, folder, use, bailey.RolePKI) == nil {
		return
	}
	for _, name := range c.list(p, folder) {
		switch filepath.Ext(name) {
		case ".key":
			c.look(p, path.Join(folder, name), use, bailey.RoleKey)
		case ".crt", ".pem", ".cert", ".cer":
			c.look(p, path.Join(folder, name), use, bailey.RoleCertificate)
		case ".kubeconfig":
			c.look(p, path.Join(folder, name), use, bailey.RoleKubeconfig)
		}
	}
}

// sameFolder reports whether two paths lead to one folder.
func sameFolder(a, b string) bool {
	x, errA := os.Stat(a + "/")
	y, errB := os.Stat(b + "/")
	return errA == nil && errB == nil && os.SameFile(x, y)
}

func textAt(document map[string]any, names ...string) string {
	var value any = document
	for _, name := range names {
		m, isMap := value.(map[string]any)
		if !isMap {
			return ""
		}
		value = m[name]
	}
	text, _ := value.(string)
	return text
}
