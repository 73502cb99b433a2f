package observe

import (
	"fmt"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var detectionRules = []*bailey.Rule{unaudited, auditedNowhere, auditRotated, auditFileOpen, blindPolicy, auditedSecrets}

var auditing = ref.Kubernetes("tasks/debug/debug-cluster/audit/", "Auditing")

var unaudited = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:     "no-audit-policy",
	Title:    "The API server audits nothing",
	Doc:      `Without --audit-policy-file no request is recorded: an attack leaves no trace that anybody could find later.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("3.2.1", "There is an audit policy"), auditing, ref.NIST("AU-2")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["audit-policy-file"] != "" {
		return nil
	}
	return settings.One("--audit-policy-file", " records no request")
}, "flags: {secure-port: '6443'}")

var auditedNowhere = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:     "audit-goes-nowhere",
	Title:    "The API server's audit events go nowhere",
	Doc:      `An audit policy alone records nothing: --audit-log-path or --audit-webhook-config-file says where events go.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.16", "The audit log has a place"), auditing, ref.NIST("AU-12")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["audit-policy-file"] == "" || c.Flags["audit-log-path"] != "" || c.Flags["audit-webhook-config-file"] != "" {
		return nil
	}
	return settings.One("--audit-log-path", " has an audit policy, and nowhere to write to")
}, "flags: {audit-policy-file: /x}")

var auditRotated = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "audit-log-short",
	Title: "The audit log is kept too short",
	Doc: `The API server rotates its log by size and deletes old files by number and age. CIS wants 30 days, 10 files and 100 MiB;
0 keeps all of them. A log that goes to standard output (-), or that a webhook takes away as well, is somebody else's
to keep.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("1.2.17", "The audit log is kept for 30 days"), ref.CIS("1.2.18", "Ten files of the audit log are kept"),
		ref.CIS("1.2.19", "Files of the audit log hold 100 MiB"), ref.NIST("AU-11")},
}, func(c *bailey.Component) []settings.Fault {
	if path := c.Flags["audit-log-path"]; path == "" || path == "-" || c.Flags["audit-webhook-config-file"] != "" {
		return nil
	}
	var all []settings.Fault
	for _, want := range []struct {
		flag, message string
		least         int64
	}{
		{"audit-log-maxage", " keeps its audit log for %d days", 30},
		{"audit-log-maxbackup", " keeps %d old files of its audit log", 10},
		{"audit-log-maxsize", " begins a new file of its audit log at %d MiB", 100},
	} {
		if n, ok := settings.Number(c.Flags[want.flag]); ok && n > 0 && n < want.least {
			all = append(all, settings.Fault{Setting: "--" + want.flag, Message: fmt.Sprintf(want.message, n)})
		}
	}
	return all
}, "flags: {audit-policy-file: /x, audit-log-path: /y, audit-log-maxage: '2'}", "flags: {audit-policy-file: /x, audit-log-path: /y, audit-log-maxsize: '1'}")
