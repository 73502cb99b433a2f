package observe

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
	"github.com/baileyhq/bailey/derive/detect"
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
only who touched them; and the flags that write and rotate the log. Where the API server has a policy nothing is
planned in its place, since it says what its owner wants recorded and kept out. If a scan of the machine has read it,
the plan names the detections that it leaves blind; where it leaves none blind that this one does not, it is as good.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: func(seen *bailey.Component, version bailey.Version) []settings.Want {
		return []settings.Want{
			auditPolicyWant(seen),
			{Setting: bailey.Setting{Flag: "audit-log-path", Value: "/var/log/kubernetes/audit/audit.log",
				Why: "A file is there even while what reads it is not (CIS 1.2.16)."},
				Holds: func(c *bailey.Component) bool {
					return c.Flags["audit-log-path"] != "" || c.Flags["audit-webhook-config-file"] != ""
				}},
			atLeast(version, "audit-log-maxage", 30, "Days that rotated files are kept (CIS 1.2.17)."),
			atLeast(version, "audit-log-maxbackup", 10, "Rotated files that are kept (CIS 1.2.18)."),
			atLeast(version, "audit-log-maxsize", 100, "MiB at which the file is rotated (CIS 1.2.19)."),
		}
	}}},
})

// auditPolicyWant is the audit policy. The order of rules decides what is recorded, so that
// two policies cannot be made one: that which is there is read, and never replaced.
func auditPolicyWant(seen *bailey.Component) settings.Want {
	const flag, why = "audit-policy-file", "Without a policy nothing is audited (CIS 3.2.1)."
	there := settings.DocumentOf(seen, flag)
	if there.Path == "" {
		return settings.Want{Setting: bailey.Setting{Flag: flag, Value: bailey.SettingsFolder + "/audit-policy.yaml",
			File: &bailey.SettingFile{Name: "audit-policy.yaml", Text: auditPolicy},
			Why:  why,
			Note: "The bodies of workloads are recorded: who writes secrets into environment variables has them in the log."}}
	}
	if !there.Whole {
		return there.LookAt(flag, why, "`bailey detect --policy FILE` says which detections it leaves blind")
	}
	blind, err := leftBlind(there.Content)
	w := settings.Want{Setting: bailey.Setting{Flag: flag, Why: why}, Holds: func(*bailey.Component) bool { return err == nil && len(blind) == 0 }, Look: true}
	switch {
	case err != nil:
		w.Note = "the file that it names, " + there.Path + ", was read, and is " + err.Error()
	case len(blind) > 0:
		w.Note = "the policy that it names, " + there.Path + ", leaves detections of `bailey detect` blind; change these rules of it: " + strings.Join(blind, "; ")
	default:
		w.Note = "an API server has a policy that leaves no detection blind, " + there.Path + ": give it to the others"
	}
	return w
}

// leftBlind says which detections an audit policy leaves blind that Bailey's own does not, and
// by which of its rules.
func leftBlind(policy map[string]any) ([]string, error) {
	text, err := yaml.Marshal(policy)
	if err != nil {
		return nil, err
	}
	theirs, err := detect.DecodePolicy(text)
	if err != nil {
		return nil, err
	}
	own, err := detect.DecodePolicy([]byte(auditPolicy))
	if err != nil {
		return nil, err
	}
	excused := detect.Blind(own, detect.All())
	byWhy := map[string][]string{}
	var order []string
	for _, b := range detect.Blind(theirs, detect.All()) {
		if b.Partly && slices.ContainsFunc(excused, func(e detect.Blindness) bool { return e.Detection == b.Detection }) {
			continue
		}
		if byWhy[b.Why] == nil {
			order = append(order, b.Why)
		}
		byWhy[b.Why] = append(byWhy[b.Why], b.Detection)
	}
	for i, why := range order {
		order[i] = why + ": " + strings.Join(byWhy[why], ", ")
	}
	return order, nil
}

// atLeast wants a number that is not smaller. 0 bounds nothing (of a size it is 100 MiB), and
// unset it is more than enough since 1.37. Files are rotated for the log file alone.
func atLeast(version bailey.Version, flag string, least int, why string) settings.Want {
	w := settings.Flag(flag, strconv.Itoa(least), why)
	w.Holds = func(c *bailey.Component) bool {
		value := c.Flags[flag]
		n, err := strconv.Atoi(value)
		return err == nil && (n >= least || n == 0) || value == "" && version.AtLeast(1, 37) && c.Flags["audit-log-path"] != "" || c.Flags["audit-log-path"] == "" && c.Flags["audit-webhook-config-file"] != ""
	}
	return w
}
