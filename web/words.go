package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// words are the functions of templates.
var words = template.FuncMap{
	"controlName": controlName,
	"areaName":    areaName,
	"area":        func(id string) string { a, _, _ := strings.Cut(id, "/"); return a },
	"ruleName":    ruleName,
	"kind":        shortKind,
	"num":         number,
	"plural":      plural,
	"percent":     percent,
	"bound":       bound,
	"rungNames":   func() []string { return rungNames },
	"prose":       prose,
	"short":       short,
	"span":        span,
	"atLeast":     atLeast,
	"wall":        drawWall,
	"ladder":      drawLadder,
	"days":        drawDays,
	"tries":       drawTries,
	"rungs":       rungsOf,
	"severity":    severitiesOf,
	"dict":        dict,
	"stagesUpTo":  stagesUpTo,
	"waiverState": waiverState,
	"deref":       func(r *bailey.Rung) string { return r.String() },
}

var (
	rungNames     = []string{"proven", "guarded", "sound", "unknown", "gap"} // from the best
	severityNames = []string{"critical", "high", "medium", "low", "info"}

	// spelled are words of IDs that are not written as they stand.
	spelled = map[string]string{"api": "API", "os": "OS", "tls": "TLS"}
	areas   = map[string]string{"observe": "Observe", "access": "Access", "compute": "Compute"}
)

// controlName is what a control is called: "API server" for access/api-server.
func controlName(id string) string {
	_, name, found := strings.Cut(id, "/")
	if !found {
		name = id
	}
	return spell(name)
}

// ruleName is what a rule is called: "Privileged containers" for compute/pod-security/privileged-containers.
func ruleName(id string) string { return spell(id[strings.LastIndex(id, "/")+1:]) }

func areaName(area string) string {
	if name := areas[area]; name != "" {
		return name
	}
	return spell(area)
}

func spell(name string) string {
	parts := strings.Split(name, "-")
	for i, part := range parts {
		switch {
		case spelled[part] != "":
			parts[i] = spelled[part]
		case i == 0 && part != "":
			parts[i] = strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return strings.Join(parts, " ")
}

// shortKind is a kind without its group.
func shortKind(k bailey.Kind) string {
	name, _, _ := strings.Cut(string(k), ".")
	return name
}

// number groups digits by three: 12,345.
func number(n any) string {
	s := plain(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// plain writes a value, or what a pointer to one points to.
func plain(v any) string {
	if p, is := v.(*uint64); is && p != nil {
		v = *p
	}
	return fmt.Sprint(v)
}

// plural is "1 finding" or "3 findings".
func plural(n int, one string, many ...string) string {
	word := one + "s"
	if len(many) > 0 {
		word = many[0]
	}
	if n == 1 {
		word = one
	}
	return number(n) + " " + word
}

// percent is a part of a whole, never rounded up to all nor down to none.
func percent(part, whole int) string {
	if whole <= 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case part > 0 && p < 1:
		return "< 1 %"
	case part < whole && p > 99:
		return "> 99 %"
	}
	return strconv.Itoa(int(math.Round(p))) + " %"
}

// bound is a failure rate.
func bound(rate float64) string {
	if rate < 0.001 {
		return "< 0.1 %"
	}
	return strconv.FormatFloat(100*rate, 'f', 1, 64) + " %"
}

// short is the beginning of an identifier.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// span is how long something takes, in the largest unit that says it.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return plural(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return plural(int(d.Hours()), "hour")
	case d >= 2*time.Minute:
		return plural(int(d.Minutes()), "minute")
	case d >= time.Second:
		return plural(int(d.Seconds()), "second")
	}
	return plural(int(d.Milliseconds()), "millisecond")
}

// atLeast is how long so many requests take at so many a second.
func atLeast(requests, rate int) string {
	return span(time.Duration(requests) * time.Second / time.Duration(max(rate, 1)))
}

// waiverState is how a waiver stands, for people.
func waiverState(state string) string {
	switch state {
	case "active":
		return "in force"
	case "expiring":
		return "ends soon"
	}
	return state
}

// moment is a time for people and for machines.
type moment struct{ Machine, Whole, Text string }

// Moment is a time seen from now; nil for none.
func (p *page) Moment(t any) *moment {
	var at time.Time
	switch t := t.(type) {
	case time.Time:
		at = t
	case *time.Time:
		if t != nil {
			at = *t
		}
	}
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	m := &moment{at.Format(time.RFC3339), at.Format("2 January 2006, 15:04 UTC"), ""}
	d := p.Now.Sub(at)
	ahead := d < 0
	if ahead {
		d = -d
	}
	switch {
	case d < 5*time.Second:
		m.Text = "now"
		return m
	case d > 60*24*time.Hour:
		m.Text = at.Format("2 Jan 2006")
		return m
	}
	m.Text = span(d) + " ago"
	if ahead {
		m.Text = "in " + span(d)
	}
	return m
}

// share is a part of a whole with a name, for lists and bars.
type share struct {
	Name  string
	Count int
}

func rungsOf(r server.Rungs) []share {
	return []share{{"proven", r.Proven}, {"guarded", r.Guarded}, {"sound", r.Sound}, {"unknown", r.Unknown}, {"gap", r.Gap}}
}

// severitiesOf gives the severities of which there are findings, the worst first.
func severitiesOf(c server.Counts) []share {
	all := []share{{"critical", c.Critical}, {"high", c.High}, {"medium", c.Medium}, {"low", c.Low}, {"info", c.Info}}
	some := all[:0]
	for _, s := range all {
		if s.Count > 0 {
			some = append(some, s)
		}
	}
	return some
}

// dict gives a part of a template several things at once.
func dict(pairs ...any) map[string]any {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}
