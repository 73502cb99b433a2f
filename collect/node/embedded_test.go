package node

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestK3sKubeletArguments: arguments for the kubelet override its files, and no process shows
// them, so that the files alone say nothing of what holds. k3s hides its own arguments, and
// with them its environment.
func TestK3sKubeletArguments(t *testing.T) {
	const token = "K10-secret-token"
	const arguments = "kubelet-arg: [anonymous-auth=true]\n"
	const unit = "/etc/systemd/system/k3s.service"
	for name, c := range map[string]struct {
		files    map[string]string
		environ  string
		argument string
		seen     bool
	}{
		"in the configuration": {files: map[string]string{"/etc/rancher/k3s/config.yaml": "write-kubeconfig-mode: '0600'\nkubelet-arg:\n- anonymous-auth=true\n"}},
		"in a drop-in":         {files: map[string]string{"/etc/rancher/k3s/config.yaml.d/10-kubelet.yaml": "kubelet-arg+: [read-only-port=10255]\n"}},
		"on the command line":  {argument: "--kubelet-arg=anonymous-auth=true"},
		"nowhere":              {files: map[string]string{"/etc/rancher/k3s/config.yaml": "write-kubeconfig-mode: '0600'\n# kubelet-arg: []\n"}, seen: true},
		"in a file that the environment names": {environ: "K3S_CONFIG_FILE=/srv/k3s.yaml\x00",
			files: map[string]string{"/srv/k3s.yaml": arguments}},
		"in a drop-in of one that the environment names": {environ: "K3S_CONFIG_FILE=/srv/k3s.yaml\x00",
			files: map[string]string{"/srv/k3s.yaml": "debug: true\n", "/srv/k3s.yaml.d/a.yaml": arguments}},
		"nowhere, and the environment names a file": {environ: "K3S_CONFIG_FILE=/srv/k3s.yaml\x00", seen: true,
			files: map[string]string{"/srv/k3s.yaml": "debug: true\n", "/etc/rancher/k3s/config.yaml": arguments}},
		"in another program's file": {environ: "RKE2_CONFIG_FILE=/srv/k3s.yaml\x00", seen: true,
			files: map[string]string{"/srv/k3s.yaml": arguments}},
		"in a file that is not there": {environ: "K3S_CONFIG_FILE=/srv/k3s.yaml\x00"},
		"at an address":               {environ: "K3S_CONFIG_FILE=https://example.com/k3s.yaml\x00"},
		"in a file that a flag names": {argument: "--config=/srv/k3s.yaml", files: map[string]string{"/srv/k3s.yaml": arguments}},
		"in the flag's file, and the environment names another": {environ: "K3S_CONFIG_FILE=/srv/k3s.yaml\x00", argument: "--config=/srv/flag.yaml", seen: true,
			files: map[string]string{"/srv/k3s.yaml": "debug: true\n", "/srv/flag.yaml": arguments}},
		"in a file that the unit names": {files: map[string]string{"/srv/k3s.yaml": arguments,
			unit: "[Service]\nEnvironment=A=1 \"K3S_CONFIG_FILE=/srv/k3s.yaml\"\nExecStart=/usr/local/bin/k3s server\n"}},
		"in a file that a drop-in of the unit names": {files: map[string]string{"/srv/k3s.yaml": arguments,
			unit: "[Service]\nExecStart=/usr/local/bin/k3s server\n", unit + ".d/a.conf": "[Service]\nEnvironment=K3S_CONFIG_FILE=/srv/k3s.yaml\n"}},
		"in a file that the unit's environment file names": {files: map[string]string{"/srv/k3s.yaml": arguments,
			unit:                   "[Service]\nEnvironmentFile=-/etc/default/%N\nExecStart=/usr/local/bin/k3s server\n",
			"/etc/default/k3s":     "K3S_TOKEN=" + token + "\nK3S_CONFIG_FILE='/srv/k3s.yaml'\n",
			"/etc/default/another": "K3S_CONFIG_FILE=/absent\n"}},
		"in the unit's command": {files: map[string]string{
			unit: "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--kubelet-arg=anonymous-auth=true' \\\n"}},
		"in a file that the unit's command names": {files: map[string]string{"/srv/k3s.yaml": arguments,
			unit: "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--config' \\\n\t'/srv/k3s.yaml' \\\n"}},
		"nowhere, and there is a unit": {files: map[string]string{
			unit: "[Service]\nEnvironmentFile=-/etc/default/%N\nExecStart=/usr/local/bin/k3s server\n"}, seen: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.write("/opt/k3s/agent/etc/kubelet.conf.d/00-defaults.conf", 0o644, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nport: 1\n")
			for file, text := range c.files {
				m.write(file, 0o600, text)
			}
			args := []string{"/opt/k3s/data/current/bin/k3s", "server"}
			if c.argument != "" {
				args = append(args, c.argument)
			}
			m.process(100, "k3s.service", "", "/opt/k3s/data/0123abcd/bin/k3s", args...)
			if c.environ != "" {
				m.inProc("100/environ", "K3S_TOKEN="+token+"\x00"+c.environ)
			}
			s := m.collect()
			if seen := len(s.List(bailey.KindKubelet, "")) > 0; seen != c.seen || seen == (s.Unseen(bailey.KindKubelet, "", "") != nil) {
				t.Errorf("kubelet seen: %t, unseen: %+v", seen, s.Unseen(bailey.KindKubelet, "", ""))
			}
			for _, k := range s.Kinds() {
				for _, f := range s.List(k, "") {
					if text, err := json.Marshal(f.Object); err != nil || strings.Contains(string(text), token) {
						t.Errorf("%v: a variable that nobody asked for was kept: %s", err, text)
					}
				}
			}
		})
	}
}

// TestK3sEnvironmentUnread: where neither the environment nor a unit can be read, the files
// alone say nothing.
func TestK3sEnvironmentUnread(t *testing.T) {
	m := newMachine(t)
	m.write("/opt/k3s/agent/etc/kubelet.conf.d/00-defaults.conf", 0o644, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nport: 1\n")
	m.process(100, "", "", "/opt/k3s/data/0123abcd/bin/k3s", "/opt/k3s/data/current/bin/k3s", "server")
	if err := os.Mkdir(m.proc+"/100/environ", 0o755); err != nil { // it cannot be read, by root either
		t.Fatal(err)
	}
	if s := m.collect(); len(s.List(bailey.KindKubelet, "")) > 0 || s.Unseen(bailey.KindKubelet, "", "") == nil {
		t.Error("a kubelet counts as seen of which the settings are not known")
	}
}
