package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// machine is a made-up one: its root folder, and its process file system.
type machine struct {
	t          testing.TB
	root, proc string
}

func newMachine(t testing.TB) *machine {
	dir := t.TempDir()
	m := &machine{t, filepath.Join(dir, "root"), filepath.Join(dir, "proc")}
	m.write("/etc/os-release", 0o644, "ID=debian\nVERSION_ID=\"12\"\n# comment\n")
	m.write("/sys/kernel/security/lsm", 0o644, "capability,apparmor\n")
	m.inProc("sys/kernel/hostname", "Machine-1\n")
	m.inProc("sys/kernel/osrelease", "6.18.0\n")
	m.inProc("sys/kernel/panic", "10\n")
	m.inProc("1/mounts", "/dev/sda1 / ext4 ro,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /tmp tmpfs rw,nosuid 0 0\n")
	m.inProc("1/net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
		"   0: 0100007F:2812 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"+
		"   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n"+
		"   2: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n")
	return m
}

func (m *machine) write(name string, mode os.FileMode, text string) {
	m.at(filepath.Join(m.root, name), mode, text)
}

func (m *machine) inProc(name, text string) { m.at(filepath.Join(m.proc, name), 0o644, text) }

func (m *machine) at(path string, mode os.FileMode, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		m.t.Fatal(err)
	}
}

// process adds a process. Its root is a folder of its own if container is set, else the machine's.
func (m *machine) process(pid int, unit, container, exe string, args ...string) {
	m.t.Helper()
	folder := strconv.Itoa(pid)
	m.inProc(folder+"/cmdline", strings.Join(args, "\x00")+"\x00")
	m.inProc(folder+"/comm", filepath.Base(args[0])+"\n")
	m.inProc(folder+"/cgroup", "0::/system.slice/"+unit+"\n")
	root := m.root
	if container != "" {
		root = filepath.Join(m.proc, "..", container)
		if err := os.MkdirAll(root, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"root": root, "exe": exe} {
		if err := os.Symlink(target, filepath.Join(m.proc, folder, name)); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *machine) collect() *bailey.Snapshot {
	m.t.Helper()
	s, err := Collect(context.Background(), Options{Root: m.root, Proc: m.proc, Now: now})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func file(t *testing.T, s *bailey.Snapshot, path string) *bailey.HostFile {
	t.Helper()
	for _, f := range s.List(bailey.KindHostFile, "") {
		if h := f.Object.(*bailey.HostFile); h.Path == path {
			return h
		}
	}
	t.Errorf("%s was not seen", path)
	return &bailey.HostFile{}
}

func component(t *testing.T, s *bailey.Snapshot, kind bailey.Kind) *bailey.Component {
	t.Helper()
	list := s.List(kind, "")
	if len(list) != 1 {
		t.Fatalf("%d of %s", len(list), kind)
	}
	return list[0].Object.(*bailey.Component)
}

// certificate makes a certificate and its key, in PEM.
func certificate(t testing.TB, name, organization string, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{organization}},
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", keyDER)
}

// TestKubeadm reads a machine that is laid out as kubeadm does.
func TestKubeadm(t *testing.T) {
	m := newMachine(t)
	cert, key := certificate(t, "kubernetes-admin", "system:masters", now.AddDate(0, 1, 0))
	m.write("/etc/kubernetes/pki/ca.crt", 0o644, cert)
	m.write("/etc/kubernetes/pki/apiserver.key", 0o644, key)
	m.write("/etc/kubernetes/pki/apiserver.crt", 0o644, cert)
	m.write("/etc/kubernetes/pki/sa.pub", 0o600, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	admin, err := json.Marshal(map[string]any{"kind": "Config", "users": []any{map[string]any{"user": map[string]any{
		"client-certificate-data": []byte(cert), "client-key-data": []byte(key)}}}})
	if err != nil {
		t.Fatal(err)
	}
	m.write("/etc/kubernetes/admin.conf", 0o640, "kind: Config\nusers: []\n")
	m.write("/etc/kubernetes/kubelet.conf", 0o600, string(admin))
	m.write("/etc/kubernetes/encryption.yaml", 0o600, "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{aescbc: {keys: [{name: k1, secret: c2VjcmV0IGlzIHNlY3JldA==}]}}, {identity: {}}]\n")
	m.write("/etc/kubernetes/manifests/kube-scheduler.yaml", 0o600, "apiVersion: v1\nkind: Pod\nmetadata: {name: kube-scheduler}\nspec:\n  containers:\n  - {name: kube-scheduler, image: registry.k8s.io/kube-scheduler:v1.37.2, command: [kube-scheduler, --profiling=false]}\n")
	m.write("/etc/kubernetes/manifests/kube-apiserver.yaml", 0o600, "apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver}\nspec:\n  containers:\n  - {name: kube-apiserver, image: registry.k8s.io/kube-apiserver:v1.37.2, command: [kube-apiserver]}\n")
	m.write("/var/lib/kubelet/config.yaml", 0o644, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nstaticPodPath: /etc/kubernetes/manifests\nauthentication: {anonymous: {enabled: true}}\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n")
	m.write("/var/lib/kubelet/pki/kubelet-client-2026.pem", 0o600, cert+key)
	if err := os.Symlink("/var/lib/kubelet/pki/kubelet-client-2026.pem", filepath.Join(m.root, "/var/lib/kubelet/pki/kubelet-client-current.pem")); err != nil {
		t.Fatal(err)
	}
	m.write("/usr/lib/systemd/system/kubelet.service", 0o644, "[Service]\n")
	m.write("/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", 0o666, "[Service]\n")
	m.write("/etc/cni/net.d/10-bridge.conflist", 0o600, "{}")
	m.write("/etc/chrony/chrony.conf", 0o644, "# pool x nts\npool ntp.example.com iburst nts\nserver 192.0.2.1 key 7\nserver 192.0.2.2\nrefclock PHC /dev/ptp0 poll 3\nrefclock\n")
	m.process(100, "kubelet.service", "", "/usr/bin/kubelet", "/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml", "--hostname-override=node-1")
	m.process(200, "kubepods.slice/x.scope", "apiserver", "/usr/local/bin/kube-apiserver", "kube-apiserver", "--anonymous-auth=true", "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key", "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt", "--a-key-first=/etc/kubernetes/pki/apiserver.key",
		"--client-ca-file=/etc/kubernetes/pki/ca.crt", "--service-account-key-file=/etc/kubernetes/pki/sa.pub", "--encryption-provider-config=/etc/kubernetes/encryption.yaml", "--token-auth-file=/only/inside.csv", "--etcd-servers=https://root:hunter2@127.0.0.1:2379")
	m.at(filepath.Join(m.proc, "..", "apiserver", "only/inside.csv"), 0o644, "token,user,uid\n")
	m.process(250, "etcd.service", "", "/usr/bin/etcd", "etcd", "--client-cert-auth=false")
	m.inProc("250/environ", "PATH=/bin\x00ETCD_CLIENT_CERT_AUTH=true\x00ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2379\x00")
	// Pods that give themselves the names of components are not believed.
	m.process(30, "kubepods.slice/y.scope", "stranger", "/x", "kube-controller-manager", "--profiling=true")
	m.process(31, "kubepods.slice/y.scope", "stranger", "/x", "kubelet", "--hostname-override=cp-1")
	m.process(300, "containerd.service", "", "/usr/bin/containerd", "/usr/bin/containerd")
	m.process(400, "ssh.service", "", "/usr/bin/vi", "vi", "kubelet")
	m.process(500, "x.service", "", "/usr/bin/systemctl", "systemctl", "restart", "kubelet")
	s := m.collect()

	api := component(t, s, bailey.KindAPIServer)
	if api.Node != "node-1" || api.Flags["anonymous-auth"] != "true" || strings.Contains(api.Flags["etcd-servers"], "hunter2") {
		t.Errorf("%+v", api)
	}
	text, err := json.Marshal(api.Files["encryption-provider-config"])
	if err != nil || !strings.Contains(string(text), `"aescbc"`) || strings.Contains(string(text), "c2VjcmV0") {
		t.Errorf("%v %s", err, text)
	}
	if f := file(t, s, "/etc/kubernetes/encryption.yaml"); !slices.Equal(f.Holds, []string{"secret"}) {
		t.Errorf("nobody is told that keys stand in it: %+v", f)
	}
	if k := component(t, s, bailey.KindKubelet); k.Config["staticPodPath"] != "/etc/kubernetes/manifests" {
		t.Errorf("%+v", k)
	}
	if c := component(t, s, bailey.KindScheduler); c.Flags["profiling"] != "false" || c.Version != "v1.37.2" {
		t.Errorf("read from its manifest: %+v", c)
	}
	if c := component(t, s, bailey.KindEtcd); c.Flags["client-cert-auth"] != "false" || c.Flags["listen-client-urls"] != "http://10.0.0.1:2379" {
		t.Errorf("%+v", c)
	}
	if m := s.Unseen(bailey.KindControllerManager, "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
		t.Errorf("%+v", m)
	}
	for path, want := range map[string]bailey.HostFile{
		"/etc/kubernetes/pki/apiserver.key":                         {Role: bailey.RoleKey, Mode: 0o644, Holds: []string{"private key"}},
		"/etc/kubernetes/pki/apiserver.crt":                         {Role: bailey.RoleCertificate, Mode: 0o644},
		"/etc/kubernetes/pki/sa.pub":                                {Role: bailey.RoleCertificate, Mode: 0o600},
		"/etc/kubernetes/pki":                                       {Role: bailey.RolePKI, Mode: 0o755},
		"/etc/kubernetes/kubelet.conf":                              {Role: bailey.RoleKubeconfig, Mode: 0o600, Holds: []string{"private key"}},
		"/etc/kubernetes/admin.conf":                                {Role: bailey.RoleKubeconfig, Mode: 0o640},
		"/etc/kubernetes/manifests":                                 {Role: bailey.RoleManifest, Mode: 0o755},
		"/etc/kubernetes/manifests/kube-scheduler.yaml":             {Role: bailey.RoleManifest, Mode: 0o600},
		"/var/lib/kubelet/config.yaml":                              {Role: bailey.RoleConfig, Mode: 0o644},
		"/var/lib/kubelet/pki/kubelet-client-current.pem":           {Role: bailey.RoleKey, Mode: 0o600, Holds: []string{"private key"}},
		"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": {Role: bailey.RoleService, Mode: 0o666},
		"/etc/cni/net.d/10-bridge.conflist":                         {Role: bailey.RoleNetwork, Mode: 0o600},
		"/only/inside.csv in kube-apiserver":                        {Role: bailey.RoleCredential, Mode: 0o644, Holds: []string{"token"}},
	} {
		got := file(t, s, path)
		if got.Role != want.Role || got.Mode != want.Mode || !slices.Equal(got.Holds, want.Holds) || got.Node != "node-1" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	host := s.List(bailey.KindHost, "")[0].Object.(*bailey.Host)
	if host.OS["ID"] != "debian" || host.OS["VERSION_ID"] != "12" || host.Kernel != "6.18.0" || host.Sysctls["kernel.panic"] != "10" || !host.Mounts[0].ReadOnly {
		t.Errorf("%+v", host)
	}
	if want := []bailey.HostListener{{Protocol: "tcp", Address: "0.0.0.0", Port: 22}, {Protocol: "tcp", Address: "127.0.0.1", Port: 10258}}; !slices.Equal(host.Listeners, want) {
		t.Errorf("%+v", host.Listeners)
	}
	if want := []bailey.TimeSource{{Program: "chrony", File: "/etc/chrony/chrony.conf", Server: "ntp.example.com", NTS: true}, {Program: "chrony", File: "/etc/chrony/chrony.conf", Server: "192.0.2.1", Key: true},
		{Program: "chrony", File: "/etc/chrony/chrony.conf", Server: "192.0.2.2"}, {Program: "chrony", File: "/etc/chrony/chrony.conf", Server: "PHC /dev/ptp0", Clock: true}}; !slices.Equal(host.TimeSources, want) {
		t.Errorf("%+v", host.TimeSources)
	}
	found, named := 0, false
	for _, f := range s.List(bailey.KindHostCertificate, "") {
		c := f.Object.(*bailey.HostCertificate)
		if c.CommonName != "kubernetes-admin" || !slices.Equal(c.Organizations, []string{"system:masters"}) || !c.NotAfter.Equal(now.AddDate(0, 1, 0)) || c.KeyType != "ECDSA" || c.KeyBits != 256 || !c.Client || c.CA {
			t.Errorf("%+v", c)
		}
		found++
		named = named || c.Path == "/etc/kubernetes/pki/apiserver.crt" && slices.Contains(c.Uses, "kube-apiserver --tls-cert-file")
	}
	if found < 4 || !named {
		t.Errorf("%d certificates; who names the API server's is known: %t", found, named)
	}
	for _, k := range s.Kinds() {
		for _, f := range s.List(k, "") {
			if text, err := json.Marshal(f.Object); err != nil || strings.Contains(string(text), "PRIVATE KEY") {
				t.Errorf("%v %s", err, text)
			}
		}
	}
}

// TestK3s reads a machine on which one program is everything.
// TestDocumentNotRead: a document that a flag names and that was not read is missing by its
// name, so that no rule takes its silence for a sound one.
func TestDocumentNotRead(t *testing.T) {
	for name, tc := range map[string]struct{ path, text string }{
		"relative":      {"policy.yaml", ""},
		"gone":          {"/etc/gone.yaml", ""},
		"without kind":  {"/etc/bare.yaml", "rules: []\n"},
		"no YAML":       {"/etc/broken.yaml", "rules: [\n"},
		"read as it is": {"/etc/policy.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if tc.text != "" {
				m.write(tc.path, 0o600, tc.text)
			}
			m.process(100, "apiserver.service", "", "/usr/bin/kube-apiserver", "kube-apiserver", "--audit-policy-file="+tc.path)
			s := m.collect()
			read := component(t, s, bailey.KindAPIServer).Files["audit-policy-file"] != nil
			missing := s.Unseen(bailey.KindHostFile, "", "")
			if wanted := name == "read as it is"; read != wanted || (missing == nil) != wanted {
				t.Fatalf("read %t, missing %v", read, missing)
			}
			if missing != nil && (missing.Name != "machine-1:"+tc.path || missing.Reason != bailey.ReasonUnreadable) {
				t.Errorf("missing %+v", missing)
			}
		})
	}
}

func TestK3s(t *testing.T) {
	m := newMachine(t)
	_, key := certificate(t, "x", "y", now)
	m.write("/opt/k3s/server/tls/server-ca.key", 0o600, key)
	m.write("/opt/k3s/server/token", 0o644, "K10secret\n")
	m.write("/opt/k3s/agent/etc/kubelet.conf.d/00-defaults.conf", 0o644, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nauthentication: {anonymous: {enabled: false}}\nport: 1\n")
	m.write("/opt/k3s/agent/etc/kubelet.conf.d/10-own.conf", 0o644, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nauthentication: {webhook: {enabled: true}}\nport: 2\n")
	m.process(100, "k3s.service", "", "/opt/k3s/data/0123abcd/bin/k3s", "/opt/k3s/data/current/bin/k3s server")
	s := m.collect()
	kubelet := component(t, s, bailey.KindKubelet)
	text, err := json.Marshal(kubelet.Config)
	if err != nil || !strings.Contains(string(text), `{"anonymous":{"enabled":false},"webhook":{"enabled":true}}`) || !strings.Contains(string(text), `"port":2`) {
		t.Errorf("%v %s", err, text)
	}
	if m := s.Unseen(bailey.KindAPIServer, "", ""); m == nil || !strings.Contains(m.Detail, "k3s runs kube-apiserver within itself") {
		t.Errorf("%+v", m)
	}
	if f := file(t, s, "/opt/k3s/server/tls/server-ca.key"); f.Role != bailey.RoleKey {
		t.Errorf("%+v", f)
	}
	if f := file(t, s, "/opt/k3s/server/token"); f.Role != bailey.RoleCredential || f.Mode != 0o644 {
		t.Errorf("%+v", f)
	}
}

// TestHostile reads what somebody who can write one file of a machine may do to a scan.
func TestHostile(t *testing.T) {
	m := newMachine(t)
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	m.at(outside, 0o600, "kind: Config\nusers: [{user: {token: outside}}]\n")
	if err := os.MkdirAll(filepath.Join(m.root, "etc/kubernetes"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(m.root, "etc/kubernetes/kubelet.conf")); err != nil {
		t.Fatal(err)
	}
	m.write("/etc/kubernetes/big.yaml", 0o600, "kind: KubeletConfiguration\nx: "+strings.Repeat("x", maxDocument))
	m.process(100, "kubelet.service", "", "/usr/bin/kubelet", "kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/etc/kubernetes/big.yaml", "--root-dir=/../../../..", "--log-file=/dev/null")
	s := m.collect()
	for _, f := range s.List(bailey.KindHostFile, "") {
		if slices.Contains(f.Object.(*bailey.HostFile).Holds, "token") {
			t.Errorf("a link led out of the machine: %+v", f.Object)
		}
	}
	if m := s.Unseen(bailey.KindKubelet, "", ""); m == nil || m.Reason != bailey.ReasonUnreadable || len(s.List(bailey.KindKubelet, "")) > 0 {
		t.Errorf("a kubelet whose configuration was not read counts as seen: %+v", m)
	}
	if m := s.Unseen(bailey.KindHostCertificate, "", ""); m == nil {
		t.Error("what could not be read is not missed")
	}
	skipped := s.Meta.Targets[0].Skipped
	if !slices.ContainsFunc(skipped, func(s bailey.Skip) bool {
		return s.What == "/etc/kubernetes/big.yaml" && strings.Contains(s.Why, "more than")
	}) {
		t.Errorf("%+v", skipped)
	}
}

// TestNothing reads a machine that is no node.
func TestNothing(t *testing.T) {
	m := newMachine(t)
	if err := os.RemoveAll(filepath.Join(m.root, "etc")); err != nil {
		t.Fatal(err)
	}
	s := m.collect()
	host := s.List(bailey.KindHost, "")[0].Object.(*bailey.Host)
	if host.Node != "machine-1" || !slices.Contains(host.Unseen, "os-release") || !slices.Contains(host.Unseen, "processes") {
		t.Errorf("%+v", host)
	}
	if _, err := Collect(context.Background(), Options{Root: filepath.Join(m.root, "absent"), Proc: m.proc, Now: now}); err == nil {
		t.Error("a machine that is not there was read")
	}
}

// FuzzTexts reads any text as each of the formats that a machine's files have.
func FuzzTexts(f *testing.F) {
	f.Add("ID=x\n/dev/sda / ext4 ro 0 0\npool x nts\n 0: 0100007F:2812 00000000:0000 0A 0 0 0 0 0 4711 1\n[a]")
	f.Add("kind: Config\nusers: [{user: {token: x, client-certificate: ../x}}]\n")
	f.Add("[Service]\nEnvironment='K3S_CONFIG_FILE=/x'\nEnvironmentFile=-/y\nExecStart=k3s \\\n server\n")
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range mounts(text) {
			if m.Path == "" {
				t.Error(m)
			}
		}
		osRelease(text)
		bracketed(text)
		for _, program := range []string{"chrony", "timesyncd"} {
			if all := sources(program, "f", text); len(all) > maxSources+100 {
				t.Errorf("%d sources", len(all))
			}
		}
		for line := range strings.Lines(text) {
			if l, _, ok := listener(line, "tcp"); ok && (l.Port < 0 || l.Port > 65535 || l.Address == "") {
				t.Error(l)
			}
		}
		c := &collector{root: "/", builder: bailey.NewBuilder(bailey.Meta{}), files: map[string]*bailey.HostFile{}, certs: map[string]*bailey.HostCertificate{}}
		c.pem("x", []byte(text), "use")
		c.unitLines(&process{unit: "k3s.service", root: t.TempDir()}, &start{}, text, "K3S_CONFIG_FILE")
		if len(c.certs) > maxCertificates {
			t.Errorf("%d certificates", len(c.certs))
		}
	})
}

// TestEtcdFile: the files that etcd's own configuration file names are looked at, and the flags
// that etcd then ignores are not believed.
func TestEtcdFile(t *testing.T) {
	m := newMachine(t)
	_, key := certificate(t, "x", "y", now)
	m.write("/srv/etcd.key", 0o644, key)
	m.write("/srv/etcd.yml", 0o644, "data-dir: /srv/etcd\nclient-transport-security: {key-file: /srv/etcd.key, client-cert-auth: true}\n")
	m.process(100, "etcd.service", "", "/usr/bin/etcd", "etcd", "--config-file=/srv/etcd.yml", "--client-cert-auth=False")
	s := m.collect()
	if etcd := component(t, s, bailey.KindEtcd); etcd.Flags["client-cert-auth"] != "true" {
		t.Errorf("%v", etcd.Flags)
	}
	if f := file(t, s, "/srv/etcd.key"); f.Mode != 0o644 || f.Role != bailey.RoleKey {
		t.Errorf("%+v", f)
	}
	if f := file(t, s, "/srv/etcd.yml"); f.Role != bailey.RoleConfig {
		t.Errorf("%+v", f)
	}
}
