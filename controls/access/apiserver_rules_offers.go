package access

import (
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var logsServed = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "logs-served",
	Title: "The API server serves its machine's logs",
	Doc: `--enable-logs-handler serves /var/log of the machine at /logs, to whoever has a right to the path. It is off unless it
is set; API servers before 1.37 are judged by what is written alone.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["enable-logs-handler"] == "true" {
		return settings.One("--enable-logs-handler", " serves the logs of its machine at /logs")
	}
	return nil
}, "flags: {enable-logs-handler: 'true'}")

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
