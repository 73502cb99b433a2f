package node

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// TestControlPlane reads the machine of the tests, with the control plane that runs on it.
func TestControlPlane(t *testing.T) {
	cluster := devclustertest.Shared(t)
	s, err := Collect(t.Context(), Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(cluster.RESTHost)
	if err != nil {
		t.Fatal(err)
	}
	servers := s.List(bailey.KindAPIServer, "")
	i := slices.IndexFunc(servers, func(f *bailey.Fact) bool {
		return f.Object.(*bailey.Component).Flags["secure-port"] == u.Port()
	})
	if i < 0 {
		t.Fatalf("none of %d API servers listens at %s", len(servers), u.Host)
	}
	c := servers[i].Object.(*bailey.Component)
	if c.Version != "v1.37.2" || c.Files["audit-policy-file"]["kind"] != "Policy" {
		t.Errorf("version %q, audit policy %v", c.Version, c.Files["audit-policy-file"])
	}
	key := c.Flags["tls-private-key-file"]
	var seen bool
	for _, f := range s.List(bailey.KindHostFile, "") {
		h := f.Object.(*bailey.HostFile)
		if h.Path != key {
			continue
		}
		seen = true
		info, err := os.Stat(key)
		if err != nil || h.Role != bailey.RoleKey || h.Mode != uint32(info.Mode().Perm()) || h.UID != os.Getuid() {
			t.Errorf("%v %+v", err, h)
		}
	}
	if !seen {
		t.Errorf("%s was not seen", key)
	}
	if !slices.ContainsFunc(s.List(bailey.KindHostCertificate, ""), func(f *bailey.Fact) bool {
		h := f.Object.(*bailey.HostCertificate)
		return h.Path == c.Flags["tls-cert-file"] && h.Server && h.CommonName == "kube-apiserver" && slices.Contains(h.DNSNames, "localhost")
	}) {
		t.Errorf("no certificate of %s was seen", c.Flags["tls-cert-file"])
	}
	host := s.List(bailey.KindHost, "")[0].Object.(*bailey.Host)
	if !slices.ContainsFunc(host.Listeners, func(l bailey.HostListener) bool {
		return l.Protocol == "tcp" && u.Port() == strconv.Itoa(l.Port) && l.Program != ""
	}) {
		t.Errorf("nobody listens at port %s: %+v", u.Port(), host.Listeners)
	}
	if len(host.Mounts) == 0 || host.Kernel == "" || !strings.Contains(filepath.Base(key), "key") {
		t.Errorf("%+v", host)
	}
}
