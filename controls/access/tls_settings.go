package access

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

// ciphers are the suites of TLS 1.2 with forward secrecy and authenticated encryption;
// those of TLS 1.3 cannot be chosen, and need not be.
var ciphers = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

var modernTLS = settings.New(settings.Guard{
	Name:  "modern-tls",
	Title: "Every component serves TLS 1.2 or later, with suites that keep forward secrecy, and etcd asks for certificates",
	Doc: `The flags that set the oldest version of TLS and the suites of the API server, the controller manager, the scheduler
and etcd; the fields of the kubelet's configuration that do; client certificates at etcd, of authorities that are
named and not made up by itself. The API server verifies kubelets.`,
	Tried: tlsExperiments,
	Parts: []settings.Part{
		{Kind: bailey.KindAPIServer, Wants: func(*bailey.Component, bailey.Version) []settings.Want {
			return append(tlsFlags(), settings.Want{
				Setting: bailey.Setting{Flag: "kubelet-certificate-authority", Value: "/etc/kubernetes/pki/ca.crt",
					Why:  "Without it the API server hands exec and logs to whoever answers at a node's address (CIS 1.2.5).",
					Note: "the kubelets' serving certificates must be signed by this authority first (serverTLSBootstrap, and their requests approved)"},
				Holds: func(c *bailey.Component) bool { return c.Flags["kubelet-certificate-authority"] != "" }})
		}},
		{Kind: bailey.KindControllerManager, Wants: func(*bailey.Component, bailey.Version) []settings.Want { return tlsFlags() }},
		{Kind: bailey.KindScheduler, Wants: func(*bailey.Component, bailey.Version) []settings.Want { return tlsFlags() }},
		{Kind: bailey.KindEtcd, Wants: func(*bailey.Component, bailey.Version) []settings.Want { return etcdWants() }},
		{Kind: bailey.KindKubelet, Wants: func(*bailey.Component, bailey.Version) []settings.Want {
			return []settings.Want{
				{Setting: bailey.Setting{Field: "tlsMinVersion", Value: "VersionTLS12", Why: "Older versions are broken."},
					Holds: func(c *bailey.Component) bool {
						return modern(settings.Text(settings.Field(c.Config, "tlsMinVersion")))
					}},
				{Setting: bailey.Setting{Field: "tlsCipherSuites", Value: ciphers, Why: "Only suites with forward secrecy (CIS 4.2.12)."},
					Holds: func(c *bailey.Component) bool {
						suites, _ := settings.Field(c.Config, "tlsCipherSuites").([]any)
						names := make([]string, len(suites))
						for i, s := range suites {
							names[i], _ = s.(string)
						}
						return onlyStrong(names)
					}},
			}
		}},
	},
})

func modern(version string) bool { return version == "VersionTLS12" || version == "VersionTLS13" }

func onlyStrong(suites []string) bool {
	return len(suites) > 0 && !slices.ContainsFunc(suites, func(s string) bool {
		return !slices.Contains(ciphers, s) && !strings.HasPrefix(s, "TLS_AES_") && s != "TLS_CHACHA20_POLY1305_SHA256"
	})
}

func tlsFlags() []settings.Want {
	oldest := settings.Flag("tls-min-version", "VersionTLS12", "Older versions are broken.")
	oldest.Holds = func(c *bailey.Component) bool { return modern(c.Flags["tls-min-version"]) }
	suites := settings.Flag("tls-cipher-suites", strings.Join(ciphers, ","), "Only suites with forward secrecy (CIS 1.2.29).")
	suites.Holds = func(c *bailey.Component) bool { return onlyStrong(settings.List(c, "tls-cipher-suites")) }
	return []settings.Want{oldest, suites}
}

func etcdWants() []settings.Want {
	wants := []settings.Want{
		settings.Flag("client-cert-auth", "true", "Whoever reaches etcd has the cluster (CIS 2.2)."),
		settings.Flag("peer-client-cert-auth", "true", "A peer receives everything (CIS 2.5)."),
		settings.Flag("auto-tls", "false", "A certificate that etcd made itself proves nothing (CIS 2.3)."),
		settings.Flag("peer-auto-tls", "false", "A certificate that etcd made itself proves nothing (CIS 2.6)."),
		settings.Flag("tls-min-version", "TLS1.2", "Older versions are broken."),
		settings.Flag("cipher-suites", strings.Join(ciphers, ","), "Only suites with forward secrecy."),
	}
	for _, i := range []int{2, 3} {
		flag := wants[i].Flag
		wants[i].Holds = func(c *bailey.Component) bool { return c.Flags[flag] == "" || c.Flags[flag] == "false" }
	}
	wants[4].Holds = func(c *bailey.Component) bool {
		return slices.Contains([]string{"TLS1.2", "TLS1.3"}, c.Flags["tls-min-version"])
	}
	wants[5].Holds = func(c *bailey.Component) bool {
		return c.Flags["tls-min-version"] == "TLS1.3" || onlyStrong(settings.List(c, "cipher-suites"))
	}
	return wants
}
