package access

import (
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var logsServed = &bailey.Rule{
	Name:  "logs-served",
	Title: "The API server serves its machine's logs",
	Doc: `--enable-logs-handler serves /var/log of the machine at /logs, to whoever has a right to the path. Where it is not set
it is off since 1.37, and on before: by the API server's own version, else by the platform's. Where neither was seen it
is unknown.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist")},
	On:       []bailey.Kind{bailey.KindAPIServer},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*bailey.Component](f)
		if !ok {
			return nil
		}
		if value, set := c.Flags["enable-logs-handler"]; set {
			if value == "true" {
				return []bailey.Finding{{Field: "--enable-logs-handler", Message: "kube-apiserver serves the logs of its machine at /logs"}}
			}
			return nil
		}
		version, err := bailey.ParseVersion(c.Version)
		if err != nil {
			version = v.SeenVersion()
		}
		if !version.AtLeast(1, 37) {
			return []bailey.Finding{{Field: "--enable-logs-handler", Message: "kube-apiserver serves the logs of its machine at /logs, as all before 1.37 do that are not told otherwise"}}
		}
		return nil
	},
	Bad: []string{`apiVersion: bailey.dev/v1
kind: KubeAPIServer
metadata: {name: node-1}
node: node-1
flags: {enable-logs-handler: 'true'}
`},
}

// longestRequest is the longest time that CIS gives as an example.
const longestRequest = 5 * time.Minute

var longRequests = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "long-requests",
	Title: "The API server lets a request take long",
	Doc: `A request that takes --request-timeout holds a place of those that the API server has. It is a minute unless it is set;
over five minutes a few slow clients hold up all others.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.CIS("1.2.20", "Requests end in time"), ref.NIST("SC-5")},
}, func(c *bailey.Component) []settings.Fault {
	if timeout, err := time.ParseDuration(c.Flags["request-timeout"]); err == nil && timeout > longestRequest {
		return settings.One("--request-timeout", " lets a request take "+timeout.String())
	}
	return nil
}, "flags: {request-timeout: 1h0m0s}")
