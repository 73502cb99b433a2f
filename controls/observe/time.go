package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Time asks for authenticated time.
var Time = &bailey.Control{
	ID:   "observe/time",
	Asks: "time is distributed with authentication, so that logs can be trusted",
	Doc: `Certificates, tokens and the order of events in a log all rest on clocks. Plain NTP believes whoever answers
first.

Bailey judges each node's time source, whether it is authenticated (NTS, or another signed source), and
offset and spread over the nodes and against the control plane.

Enforced by a chrony configuration with NTS, written out.

Proved by offering a false time source, which the node must refuse; skew must raise an alert.`,
	Scope: bailey.ScopeNode,
	Refs: []bailey.Reference{
		ref.Page("RFC 8915", "Network Time Security for the Network Time Protocol", "https://www.rfc-editor.org/rfc/rfc8915"),
		ref.NIST("SC-45"),
		ref.NIST("AU-8"),
		ref.NIST("SC-45(1)"),
	},

	Rules: timeRules,
}
