package observe

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var timeRules = []*bailey.Rule{noTimeSource, unauthenticatedTime}

const hostHead = "apiVersion: bailey.dev/v1\nkind: Host\nmetadata: {name: node-1}\nnode: node-1\n"

var noTimeSource = &bailey.Rule{
	Name:  "no-time-source",
	Title: "A machine names no source of time",
	Doc: `No configuration of chrony, ntpd or timesyncd that was found names a server. The clock then runs free, unless the
hypervisor sets it, as clouds do: waive the rule there with that reason.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.NIST("AU-8"), ref.NIST("SC-45")},
	On:       []bailey.Kind{bailey.KindHost},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		h, ok := bailey.As[*bailey.Host](f)
		if !ok || len(h.TimeSources) > 0 {
			return nil
		}
		return []bailey.Finding{{Field: "timeSources", Message: "nothing says where " + h.Node + " takes its time from"}}
	},
	Bad: []string{hostHead},
}

// hypervisors are the servers that a cloud's machine reaches within the machine below it.
var hypervisors = []string{"169.254.169.123", "fd00:ec2::123", "169.254.169.254", "metadata.google.internal"}

var unauthenticatedTime = &bailey.Rule{
	Name:  "unauthenticated-time",
	Title: "A machine believes whoever answers what time it is",
	Doc: `Plain NTP is not authenticated: who sits on the way sets the clock, and with it which certificates and tokens are
valid and in which order logs are read. NTS (chrony, ntpsec) or a symmetric key verifies the answers; timesyncd has
neither. One source that is authenticated is not enough: a majority of others outvotes it. Clocks of the machine itself
(refclock) and the addresses at which clouds' hypervisors answer are let be, since nobody else sits on that way:
169.254.169.123 and fd00:ec2::123 of AWS, 169.254.169.254 and metadata.google.internal of Google and Oracle.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Page("RFC 8915", "Network Time Security for the Network Time Protocol", "https://www.rfc-editor.org/rfc/rfc8915"),
		ref.NIST("SC-45(1)")},
	On: []bailey.Kind{bailey.KindHost},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		h, ok := bailey.As[*bailey.Host](f)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(h.TimeSources, func(s bailey.TimeSource) bool {
			return !s.NTS && !s.Key && !s.Clock && !slices.Contains(hypervisors, s.Server)
		})
		if i < 0 {
			return nil
		}
		s := &h.TimeSources[i]
		return []bailey.Finding{{Field: "timeSources", Message: h.Node + " takes its time from " + s.Server + " without verifying it (" + s.File + ")"}}
	},
	Bad: []string{hostHead + "timeSources: [{program: chrony, file: /etc/chrony.conf, server: ntp.example.com}]\n"},
}
