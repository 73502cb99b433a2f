package observe

import (
	"fmt"
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/host"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var auditFileOpen = host.FileRule(bailey.Rule{
	Name:  "audit-log-open",
	Title: "Others than root may read or change the audit log",
	Doc: `The audit log says who read which Secret and when, and, where the policy takes in bodies, what stood in it. The API
server makes its file for its own user alone (0600). A group that may read it is let be: it is how shippers of logs are
let in. As which user the API server runs is not read, and so an owner other than root is named only.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist"),
		auditing, ref.NIST("AU-9")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	if !slices.Contains(f.Uses, "kube-apiserver --audit-log-path") || f.Type != "file" {
		return "", 0
	}
	switch {
	case f.Mode&0o002 != 0:
		return fmt.Sprintf("everybody on the machine may change %s, the audit log: its mode is %s", f.Path, host.Mode(f)), bailey.SeverityHigh
	case f.Mode&0o020 != 0 && f.GID != 0:
		return fmt.Sprintf("the group %d may change %s, the audit log: its mode is %s", f.GID, f.Path, host.Mode(f)), 0
	case f.Mode&0o004 != 0:
		return fmt.Sprintf("everybody on the machine may read %s, the audit log: its mode is %s", f.Path, host.Mode(f)), 0
	case f.UID != 0:
		return fmt.Sprintf("%s, the audit log, belongs to the user %d: nobody but the API server should be that user", f.Path, f.UID), bailey.SeverityInfo
	}
	return "", 0
}, "uses: [kube-apiserver --audit-log-path]\npath: /var/log/audit.log\nrole: log\ntype: file\nmode: 420")
