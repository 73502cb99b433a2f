package enforce

import (
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
)

// DefaultQuiet is how long a policy only audits and warns before it may deny.
const DefaultQuiet = 7 * 24 * time.Hour

// Stage is how far a change goes.
type Stage string

const (
	// StageAudit: what is forbidden is admitted, with a warning and an audit record.
	StageAudit Stage = "audit"
	// StageDeny: it is refused. What has no audit stage is at once in this one.
	StageDeny Stage = "deny"
)

// Choice says how far an apply may go.
type Choice struct {
	Now time.Time
	// Quiet is how long a change stays in the audit stage.
	Quiet time.Duration
	// AcceptRefusals lets a policy deny though it would refuse what is there now.
	AcceptRefusals bool
	// AcceptUnobserved lets what has no audit stage be applied without 7 days of
	// observed flows and use, and a policy deny though not all that it looks at was seen.
	AcceptUnobserved bool
	// Impact is what the policies would refuse of what is there; nil if not evaluated.
	Impact Impact
	// AuditedSince is when the object's audit stage began; zero if it has none yet.
	AuditedSince func(bailey.Ref) time.Time
}

// Staged is a change with how far it goes now.
type Staged struct {
	*Change
	// Fields are what is applied; nil where nothing is.
	Fields map[string]any
	Stage  Stage
	// Wait says why it goes no further, and what would change that; empty where it is
	// in force.
	Wait string
}

// Stages says for each change of the plan how far it goes now.
func (p *Plan) Stages(c Choice) []Staged {
	all := make([]Staged, len(p.Changes))
	for i := range p.Changes {
		all[i] = stage(&p.Changes[i], &c)
	}
	return all
}

func stage(change *Change, c *Choice) Staged {
	s := Staged{Change: change, Stage: StageDeny, Fields: change.Apply}
	if change.Managed != "" {
		s.Fields, s.Wait = nil, "owned by "+change.Managed+": change it at its source"
		return s
	}
	switch change.Object.Kind {
	case bailey.KindNetworkPolicy, bailey.KindResourceQuota, bailey.KindLimitRange, bailey.KindServiceAccount:
		if !c.AcceptUnobserved {
			s.Fields, s.Wait = nil, "it has no audit stage, and flows and use were not observed for 7 days: --accept-unobserved applies it"
		}
	case bailey.KindValidatingAdmissionPolicyBinding:
		if s.Wait = c.waits(change.Object, change.Object.Name); s.Wait != "" {
			s.Stage, s.Fields = StageAudit, copied(change.Apply).(map[string]any)
			spec, _ := s.Fields["spec"].(map[string]any)
			spec["validationActions"] = []any{"Warn", "Audit"}
		}
	case bailey.KindNamespace:
		labels, _ := under(change.Apply, "metadata")["labels"].(map[string]any)
		if labels[enforceLabel] == nil {
			break
		}
		if s.Wait = c.waits(change.Object, ""); s.Wait != "" {
			s.Stage, s.Fields = StageAudit, copied(change.Apply).(map[string]any)
			kept := under(s.Fields, "metadata")["labels"].(map[string]any)
			delete(kept, enforceLabel)
			delete(kept, enforceLabel+"-version")
		}
	}
	return s
}

// enforceLabel is the label by which a namespace's Pod Security level refuses.
const enforceLabel = "pod-security.kubernetes.io/enforce"

// waits says why an object stays in its audit stage; empty if it need not. The policy
// is the one whose impact counts, if any.
func (c *Choice) waits(object bailey.Ref, policy string) string {
	since := c.AuditedSince(object)
	switch {
	case policy != "" && c.Impact[policy] == nil:
		return "what it would refuse of what is there was not evaluated"
	case policy != "" && len(c.Impact[policy].Refused) > 0 && !c.AcceptRefusals:
		return fmt.Sprintf("it would refuse %d objects that are there: mend them first, or --accept-refusals", len(c.Impact[policy].Refused))
	case policy != "" && c.Impact[policy].Unknown() != "" && !c.AcceptUnobserved:
		return "what it would refuse is not known whole (" + c.Impact[policy].Unknown() + "): --accept-unobserved"
	case since.IsZero():
		return fmt.Sprintf("it audits and warns first, for %s (--quiet-period)", period(c.Quiet))
	case c.Now.Sub(since) < c.Quiet:
		return fmt.Sprintf("it audits and warns until %s (--quiet-period)", since.Add(c.Quiet).UTC().Format("2006-01-02 15:04 MST"))
	}
	return ""
}

// period is a duration in days where it is a whole number of them.
func period(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "a day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func under(m map[string]any, key string) map[string]any {
	child, _ := m[key].(map[string]any)
	return child
}
