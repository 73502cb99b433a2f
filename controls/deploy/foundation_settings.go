package deploy

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var controlPlaneHardened = settings.New(settings.Guard{
	Name:  "control-plane-settings",
	Title: "API server, controller manager and scheduler run with what the CIS Benchmark asks for",
	Doc: `Flags: no profiling; the admission plugins NodeRestriction, ServiceAccount and NamespaceLifecycle; tokens that end
when they say; controllers with a credential each; controller manager and scheduler that listen to their own machine
only.`,
	Parts: []settings.Part{
		{Kind: bailey.KindAPIServer, Wants: apiServerWants},
		{Kind: bailey.KindControllerManager, Wants: func(*bailey.Component, bailey.Version) []settings.Want {
			return []settings.Want{profiling(), loopback(),
				settings.Flag("use-service-account-credentials", "true", "Each controller has its own rights, and its own name in the audit log (CIS 1.3.3)."),
			}
		}},
		{Kind: bailey.KindScheduler, Wants: func(seen *bailey.Component, _ bailey.Version) []settings.Want {
			if seen != nil && seen.Flags["config"] != "" { // the flag is ignored beside the file
				return []settings.Want{noProfilesByFile(), loopback()}
			}
			return []settings.Want{profiling(), loopback()}
		}},
	},
})

func profiling() settings.Want {
	return settings.Flag("profiling", "false", "Profiles show what a program works on (CIS 1.2.15, 1.3.2, 1.4.1).")
}

func noProfilesByFile() settings.Want {
	return settings.Want{
		Setting: bailey.Setting{Field: "enableProfiling", Value: false, Why: "Profiles show what a program works on (CIS 1.4.1).",
			Note: "a field of the KubeSchedulerConfiguration that --config names, beside which --profiling is ignored"},
		Holds: func(c *bailey.Component) bool { return settings.Field(c.Config, "enableProfiling") == false },
	}
}

// loopback wants a component that nobody calls but its own machine to listen there only.
func loopback() settings.Want {
	w := settings.Flag("bind-address", "127.0.0.1", "Nobody calls it from elsewhere (CIS 1.3.7, 1.4.2).")
	w.Note = "whoever reads its metrics from elsewhere needs an agent on the machine"
	w.Holds = func(c *bailey.Component) bool {
		address := c.Flags["bind-address"]
		return address == "::1" || strings.HasPrefix(address, "127.")
	}
	return w
}

func apiServerWants(seen *bailey.Component, _ bailey.Version) []settings.Want {
	// The plugins that are on by default stay on beside those that the flag names.
	plugins := settings.List(seen, "enable-admission-plugins")
	if !slices.Contains(plugins, "NodeRestriction") {
		plugins = append(slices.Clone(plugins), "NodeRestriction")
	}
	restriction := settings.Flag("enable-admission-plugins", strings.Join(plugins, ","), "A kubelet changes its own node and pods only (CIS 1.2.14).")
	restriction.Holds = func(c *bailey.Component) bool {
		return slices.Contains(settings.List(c, "enable-admission-plugins"), "NodeRestriction")
	}
	wants := []settings.Want{profiling(), restriction,
		{Setting: bailey.Setting{Flag: "service-account-extend-token-expiration", Value: "false",
			Why:  "A token ends when it says, not a year later (CIS 1.2.30).",
			Note: "clients that do not read their token again stop after an hour: the metric serviceaccount_stale_tokens_total counts them"}},
	}
	for _, plugin := range []string{"ServiceAccount", "NamespaceLifecycle", "PodSecurity", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"} {
		if slices.Contains(settings.List(seen, "disable-admission-plugins"), plugin) {
			wants = append(wants, settings.Want{Setting: bailey.Setting{Flag: "disable-admission-plugins",
				Why: "Without " + plugin + " other controls are void.", Note: "take " + plugin + " out of --disable-admission-plugins"},
				Holds: func(c *bailey.Component) bool {
					return !slices.Contains(settings.List(c, "disable-admission-plugins"), plugin)
				}})
		}
	}
	return wants
}
