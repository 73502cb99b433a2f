package observe

import (
	_ "embed"
	"strconv"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

// auditPolicy records what Bailey's detections read, and of what is confidential only
// who touched it.
//
//go:embed audit-policy.yaml
var auditPolicy string

var audited = settings.New(settings.Guard{
	Name:  "audit-log",
	Title: "The API server writes an audit log that shows attacks",
	Doc: `An audit policy that records what every detection of bailey detect reads, and of Secrets, ConfigMaps and tokens
only who touched them; and the flags that write and rotate the log. The content of the policy that an API server
has is not seen: bailey detect --policy says of a file what it leaves blind.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: func(*bailey.Component, bailey.Version) []settings.Want {
		return []settings.Want{
			{Setting: bailey.Setting{Flag: "audit-policy-file", Value: bailey.SettingsFolder + "/audit-policy.yaml",
				File: &bailey.SettingFile{Name: "audit-policy.yaml", Text: auditPolicy},
				Why:  "Without a policy nothing is audited (CIS 3.2.1).",
				Note: "The bodies of workloads are recorded: who writes secrets into environment variables has them in the log."}},
			{Setting: bailey.Setting{Flag: "audit-log-path", Value: "/var/log/kubernetes/audit/audit.log",
				Why: "A file is there even while what reads it is not (CIS 1.2.16)."},
				Holds: func(c *bailey.Component) bool {
					return c.Flags["audit-log-path"] != "" || c.Flags["audit-webhook-config-file"] != ""
				}},
			atLeast("audit-log-maxage", 30, "Days that rotated files are kept (CIS 1.2.17)."),
			atLeast("audit-log-maxbackup", 10, "Rotated files that are kept (CIS 1.2.18)."),
			atLeast("audit-log-maxsize", 100, "MiB at which the file is rotated (CIS 1.2.19)."),
		}
	}}},
})

// atLeast wants a number that is not smaller. Files are rotated for the log file alone.
func atLeast(flag string, least int, why string) settings.Want {
	w := settings.Flag(flag, strconv.Itoa(least), why)
	w.Holds = func(c *bailey.Component) bool {
		n, err := strconv.Atoi(c.Flags[flag])
		return err == nil && n >= least || c.Flags["audit-log-path"] == "" && c.Flags["audit-webhook-config-file"] != ""
	}
	return w
}
