package access

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/baileyhq/bailey"
)

// tlsExperiments try to speak less than TLS 1.2.
var tlsExperiments = []*bailey.Experiment{apiServerTLS, kubeletTLS, etcdTLS}

var apiServerTLS = &bailey.Experiment{
	Name:  "api-server-tls",
	Title: "The API server speaks TLS 1.2 or newer and nothing less",
	Doc: `A request in plain text, and handshakes that offer no more than TLS 1.1 and TLS 1.0, to the API server as the
kubeconfig names it. Each must be turned down; the twin is a handshake that offers TLS 1.3 as well. And a client
that trusts only an authority made a moment ago must refuse the API server, where one that trusts the
kubeconfig's accepts it: else nobody would notice another server in its place. No request with a credential is
made.

Where a load balancer ends TLS, it is the load balancer that was tried. Ciphers within TLS 1.2 are not tried.`,
	Hypothesis: "The API server turns down plain text and TLS before 1.2, and is known by the authority that its clients trust.",
	Danger:     bailey.DangerNone,
	Technique:  "T1040",
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		const server, name = "${apiserver}", "${apiservername}"
		return append(oldVersions("API server", server, name, nil), bailey.Probe{
			Name: "certificate of another authority, API server", Path: "verification",
			Setup: []bailey.Step{{Forge: &bailey.Forge{What: bailey.ForgeAuthority, CommonName: "bailey-probe-authority"}, Bind: map[string]string{"authority": "certificate"}}},
			Twin:  dial(bailey.Dial{Address: server, TLS: &bailey.TLS{CA: "${apiserverca}", ServerName: name}}),
			Try:   dial(bailey.Dial{Address: server, TLS: &bailey.TLS{CA: "${authority}", ServerName: name}}, bailey.RefuserTLS),
		})
	},
}

var kubeletTLS = &bailey.Experiment{
	Name:  "kubelet-tls",
	Title: "Kubelets speak TLS 1.2 or newer and nothing less",
	Doc: `A request in plain text, and handshakes that offer no more than TLS 1.1 and TLS 1.0, to the kubelets of up to 2
nodes (one of the control plane, where there is one). Each must be turned down; the twin is a handshake that
offers TLS 1.3 as well. Where the kubelets cannot be reached from where Bailey runs, nothing is learned.

That the API server turns down a kubelet with a false certificate is not tried: it would take a false node, to
which pods and their secrets could be sent. Whether it verifies kubelets is read from its settings.`,
	Hypothesis: "Kubelets turn down plain text and TLS before 1.2.",
	Danger:     bailey.DangerNone,
	Technique:  "T1040",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNode},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		for _, node := range sampledNodes(v) {
			probes = append(probes, oldVersions("kubelet of "+node.Name, "${node}:10250", "", []bailey.Step{nodeAddress(node.Name)})...)
		}
		return probes
	},
}

var etcdTLS = &bailey.Experiment{
	Name:  "etcd-tls",
	Title: "etcd speaks TLS and wants a client certificate",
	Doc: `A request in plain text, handshakes that offer no more than TLS 1.1 and TLS 1.0, and one without a client
certificate, to etcd at the addresses that its settings name, its own host's loopback left out. Each must be
turned down. The twin is a handshake that offers TLS 1.3, up to the point where etcd has shown its certificate;
for want of a credential to etcd it goes no further. An old version counts as turned down only if etcd says that
it does not speak it: that it wants a client certificate says nothing of versions. It runs where etcd's settings
were seen, and learns nothing where etcd cannot be reached, which is as it should be for most: the control can be
proven without it.`,
	Hypothesis: "etcd turns down plain text, TLS before 1.2 and clients without a certificate.",
	Danger:     bailey.DangerNone,
	Technique:  "T1552.007",
	Extra:      true,
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindEtcd},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		for _, address := range etcdAddresses(v) {
			old := oldVersions("etcd at "+address, address, "", nil)
			old[0].Twin = dial(bailey.Dial{Address: address, Timeout: dialLimit}) // of an etcd without TLS, plain text is what it accepts
			probes = append(probes, old...)
			probes = append(probes, bailey.Probe{
				Name: "no client certificate, etcd at " + address, Path: "client certificate",
				Twin: shake(address, "", "1.3"),
				Try:  dial(bailey.Dial{Address: address, Timeout: dialLimit, TLS: &bailey.TLS{}, HTTP: "/version"}, bailey.RefuserTLS),
			})
		}
		return probes
	},
}

// oldVersions are the probes that speak less than TLS 1.2 to an endpoint.
func oldVersions(who, address, name string, setup []bailey.Step) []bailey.Probe {
	twin := shake(address, name, "1.3")
	return []bailey.Probe{
		{Name: "plain text, " + who, Path: "plain text", Setup: setup, Twin: twin,
			Try: dial(bailey.Dial{Address: address, Timeout: dialLimit, HTTP: "/version"}, bailey.RefuserTLS)},
		{Name: "TLS 1.1, " + who, Path: "TLS 1.1", Setup: setup, Twin: twin, Try: shake(address, name, "1.1", bailey.RefuserTLS)},
		{Name: "TLS 1.0, " + who, Path: "TLS 1.0", Setup: setup, Twin: twin, Try: shake(address, name, "1.0", bailey.RefuserTLS)},
	}
}

// shake is a handshake that offers no more than a version, and asks only whether
// that is spoken.
func shake(address, name, most string, refusers ...bailey.Refuser) bailey.Step {
	return dial(bailey.Dial{Address: address, Timeout: dialLimit, TLS: &bailey.TLS{MaxVersion: most, ServerName: name, VersionOnly: true}}, refusers...)
}

// etcdAddresses are the host:port at which etcd says that it listens for
// clients, without those that mean its own host.
func etcdAddresses(v *bailey.View) []string {
	var all []string
	for _, f := range v.Known(bailey.KindEtcd, "") {
		c, ok := bailey.As[*bailey.Component](f)
		if !ok {
			continue
		}
		for _, text := range strings.Split(c.Flags["listen-client-urls"], ",") {
			u, err := url.Parse(text)
			if err != nil || u.Port() == "" || ownHost(u.Hostname()) {
				continue
			}
			all = append(all, u.Host)
		}
	}
	return all
}

// ownHost reports whether an address means the host itself: 127.0.0.1, or all of
// its addresses.
func ownHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsUnspecified() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback())
}
