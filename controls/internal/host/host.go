// Package host makes rules on what a machine shows of itself: its files and
// certificates. It is pure.
package host

import (
	"fmt"
	"strings"

	"github.com/baileyhq/bailey"
)

// FileRule completes a rule on files of a machine: check gives what is wrong, and a severity
// where it is not the rule's own. Bad ones are YAML fields of a HostFile.
func FileRule(r bailey.Rule, check func(f *bailey.HostFile) (string, bailey.Severity), bads ...string) *bailey.Rule {
	r.On = []bailey.Kind{bailey.KindHostFile}
	r.Check = func(_ *bailey.View, fact *bailey.Fact) []bailey.Finding {
		f, ok := bailey.As[*bailey.HostFile](fact)
		if !ok {
			return nil
		}
		message, severity := check(f)
		if message == "" {
			return nil
		}
		return []bailey.Finding{{Field: "mode", Message: message, Severity: severity}}
	}
	for _, text := range bads {
		r.Bad = append(r.Bad, bad("HostFile", text))
	}
	return &r
}

// Mode writes permission bits as people do.
func Mode(f *bailey.HostFile) string { return fmt.Sprintf("%04o", f.Mode) }

// CertificateRule completes a rule on certificates in files of a machine: check says what
// is wrong, "" if nothing is, and a severity where it is not the rule's own. Bad ones are YAML fields of a HostCertificate.
func CertificateRule(r bailey.Rule, check func(v *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity), bads ...string) *bailey.Rule {
	r.On = []bailey.Kind{bailey.KindHostCertificate}
	r.Check = func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*bailey.HostCertificate](f)
		if !ok {
			return nil
		}
		message, severity := check(v, c)
		if message == "" {
			return nil
		}
		return []bailey.Finding{{Field: "subject", Message: message, Severity: severity}}
	}
	for _, text := range bads {
		r.Bad = append(r.Bad, bad("HostCertificate", text))
	}
	return &r
}

// bad is a fact as the tests read it. Its path and uses are made up where it names none.
func bad(kind, text string) string {
	for _, line := range []string{"uses: [kubelet --x]", "path: /x"} {
		if field, _, _ := strings.Cut(line, " "); !strings.Contains(text, field) {
			text = line + "\n" + text
		}
	}
	return "apiVersion: bailey.dev/v1\nkind: " + kind + "\nmetadata: {name: 'node-1:/x'}\nnode: node-1\n" + text + "\n"
}
