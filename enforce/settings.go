package enforce

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// Setting is what a component should be started with, and the guard that asks for it.
type Setting struct {
	bailey.Setting
	Control *bailey.Control
	Guard   *bailey.Guard
}

// LayoutSettings is a folder of configuration files and of what to do with them.
const LayoutSettings Layout = "settings"

// components are those that settings are for, in the order in which they are told.
var components = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet"}

// The files of LayoutSettings.
const (
	controlPlaneFolder = "control-plane/"
	policiesFolder     = controlPlaneFolder + bailey.PolicyFolder + "/"
	kubeletFile        = "kubelet/10-bailey.conf"
	kubeadmFile        = "kubeadm.yaml"
	readmeFile         = "README.md"
)

// SettingsOf gives the plan's settings of one component.
func (p *Plan) SettingsOf(component string) []Setting {
	var all []Setting
	for _, s := range p.Settings {
		if s.Component == component {
			all = append(all, s)
		}
	}
	return all
}

// Components gives the components that the plan has settings for.
func (p *Plan) Components() []string {
	return slices.DeleteFunc(slices.Clone(components), func(c string) bool { return len(p.SettingsOf(c)) == 0 })
}

// RenderSettings gives the plan's settings as files, by their path with slashes: the
// configuration files, a kubelet's drop-in, the flags as kubeadm takes them, and what to
// do with each.
func (p *Plan) RenderSettings() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range p.Settings {
		if s.File != nil {
			files[controlPlaneFolder+s.File.Name] = []byte(Marker + s.File.Text)
		}
	}
	for i := range p.Static {
		text, err := p.Static[i].text()
		if err != nil {
			return nil, err
		}
		files[policiesFolder+p.Static[i].Name+".yaml"] = append([]byte(Marker), text...)
	}
	kubelet, err := p.kubeletConfiguration()
	if err != nil {
		return nil, err
	}
	if kubelet != nil {
		files[kubeletFile] = append([]byte(Marker), kubelet...)
	}
	kubeadm, err := p.kubeadmConfiguration()
	if err != nil {
		return nil, err
	}
	if kubeadm != nil {
		files[kubeadmFile] = append([]byte(Marker+"# Part of the ClusterConfiguration in ConfigMap kube-system/kubeadm-config. Put your own extraArgs beside these.\n"), kubeadm...)
	}
	if len(p.Settings) > 0 {
		files[readmeFile] = []byte(Marker + p.settingsReadme(files))
	}
	return files, nil
}

// kubeletConfiguration is a KubeletConfiguration of the fields that are lacking; nil if
// none is.
func (p *Plan) kubeletConfiguration() ([]byte, error) {
	config := map[string]any{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
	for _, s := range p.SettingsOf("kubelet") {
		if s.Value == nil {
			continue
		}
		into := config
		path := strings.Split(s.Field, ".")
		for _, name := range path[:len(path)-1] {
			into = made(into, name)
		}
		into[path[len(path)-1]] = s.Value
	}
	if len(config) == 2 {
		return nil, nil
	}
	return yaml.Marshal(config)
}

// kubeadmConfiguration is a ClusterConfiguration of the flags that are lacking, and of
// the folders that they name; nil if there are none.
func (p *Plan) kubeadmConfiguration() ([]byte, error) {
	config := map[string]any{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration"}
	for component, path := range map[string][]string{"kube-apiserver": {"apiServer"}, "kube-controller-manager": {"controllerManager"},
		"kube-scheduler": {"scheduler"}, "etcd": {"etcd", "local"}} {
		var args, volumes []any
		for _, s := range p.SettingsOf(component) {
			value, isText := s.Value.(string)
			if !isText {
				continue
			}
			args = append(args, map[string]any{"name": s.Flag, "value": value})
			switch {
			case s.File != nil && volumes == nil:
				volumes = append(volumes, map[string]any{"name": "bailey", "hostPath": bailey.SettingsFolder, "mountPath": bailey.SettingsFolder, "readOnly": true, "pathType": "Directory"})
			case s.Flag == "audit-log-path":
				folder := value[:strings.LastIndexByte(value, '/')]
				volumes = append(volumes, map[string]any{"name": "audit-log", "hostPath": folder, "mountPath": folder, "pathType": "DirectoryOrCreate"})
			}
		}
		if len(args) == 0 {
			continue
		}
		into := config
		for _, name := range path {
			into = made(into, name)
		}
		into["extraArgs"] = args
		if len(volumes) > 0 {
			into["extraVolumes"] = volumes
		}
	}
	if len(config) == 2 {
		return nil, nil
	}
	return yaml.Marshal(config)
}

// made gives the map under a key, which it makes.
func made(in map[string]any, name string) map[string]any {
	m, isMap := in[name].(map[string]any)
	if !isMap {
		m = map[string]any{}
		in[name] = m
	}
	return m
}

// Instead says what was seen in the place of a setting.
func (s *Setting) Instead() string {
	if len(s.Seen) == 0 {
		return "not seen"
	}
	byValue := map[string][]string{}
	var order []string
	for _, seen := range s.Seen {
		value := cmp.Or(seen.Value, "not set")
		if byValue[value] == nil {
			order = append(order, value)
		}
		byValue[value] = append(byValue[value], seen.Component)
	}
	for i, value := range order {
		order[i] = fmt.Sprintf("%s (%s)", value, strings.Join(byValue[value], ", "))
		if len(byValue[value]) > 3 {
			order[i] = fmt.Sprintf("%s (%s and %d more)", value, strings.Join(byValue[value][:2], ", "), len(byValue[value])-2)
		}
	}
	return strings.Join(order, "; ")
}
