package detect

import (
	"fmt"
	"slices"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/yaml"
)

// maxPolicy is the longest audit policy that is read, in bytes.
const maxPolicy = 1 << 20

// DecodePolicy reads an audit policy from YAML or JSON.
func DecodePolicy(data []byte) (*auditv1.Policy, error) {
	if len(data) > maxPolicy {
		return nil, fmt.Errorf("the audit policy has %d bytes; at most %d are read", len(data), maxPolicy)
	}
	p := &auditv1.Policy{}
	if err := yaml.UnmarshalStrict(data, p); err != nil {
		return nil, fmt.Errorf("not an audit policy: %w", err)
	}
	if p.Kind != "Policy" || p.APIVersion != auditv1.SchemeGroupVersion.String() {
		return nil, fmt.Errorf("not an audit policy: kind %.40q of %.40q, want Policy of %s", p.Kind, p.APIVersion, auditv1.SchemeGroupVersion)
	}
	return p, nil
}

// Blindness is why an audit log cannot show a technique.
type Blindness struct {
	Detection string `json:"detection"`
	// Needs is the level that the detection reads, Has the least that the
	// policy records of such requests.
	Needs Level `json:"needs"`
	Has   Level `json:"has"`
	// Why names the rule of the policy, and whom it is for if not for all.
	Why string `json:"why"`
	// Partly tells that some such requests are recorded as needed.
	Partly bool `json:"partly,omitempty"`
}

// Blind gives the detections that a log under this policy cannot serve, or
// only in part: their silence says nothing.
func Blind(p *auditv1.Policy, detections []*Detection) []Blindness {
	var all []Blindness
	for _, d := range detections {
		var found []Blindness
		seen := 0
		if len(d.On) == 0 {
			found, seen = blindToAll(p, d), 1
		}
		for _, on := range d.On {
			verbs := on.Verbs
			if len(verbs) == 0 {
				verbs = []string{"get", "create"}
			}
			for _, path := range on.Resources {
				for _, verb := range verbs {
					blind := blindTo(p, d, verb, on.Group, path)
					if !slices.ContainsFunc(blind, func(b Blindness) bool { return !b.Partly }) {
						seen++
					}
					found = append(found, blind...)
				}
			}
		}
		if b, ok := merge(found, seen > 0); ok {
			all = append(all, b)
		}
	}
	return all
}

// merge makes one of what was found for the requests of a detection.
func merge(found []Blindness, seen bool) (Blindness, bool) {
	if len(found) == 0 {
		return Blindness{}, false
	}
	worst := found[0]
	var why []string
	for _, b := range found {
		if worst.Has.Covers(b.Has) {
			worst.Has = b.Has
		}
		if !slices.Contains(why, b.Why) {
			why = append(why, b.Why)
		}
	}
	worst.Why, worst.Partly = strings.Join(why, "; "), seen
	return worst, true
}

// blindTo follows the rules of a policy for one kind of request: the first that
// matches decides, and one that is for some users or names may match or not.
func blindTo(p *auditv1.Policy, d *Detection, verb, group, path string) []Blindness {
	var blind []Blindness
	note := func(has Level, partly bool, format string, args ...any) {
		blind = append(blind, Blindness{Detection: d.Name, Needs: d.Level, Has: has, Partly: partly, Why: fmt.Sprintf(format, args...)})
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if len(r.Verbs) > 0 && !slices.Contains(r.Verbs, verb) || !CoversResource(r, group, path) || ofComponents(r) {
			continue
		}
		level, who := Level(r.Level), onlyFor(r)
		if omits(p, r) {
			level = LevelNone
		}
		if !level.Covers(d.Level) {
			note(level, who != "", "rule %d%s", i+1, who)
		}
		if who == "" {
			return blind
		}
	}
	note(LevelNone, false, "no rule records %s of %s", verb, path)
	return blind
}

// blindToAll is for a detection that looks at every request: each rule that
// drops some leaves a hole.
func blindToAll(p *auditv1.Policy, d *Detection) []Blindness {
	var blind []Blindness
	for i := range p.Rules {
		r := &p.Rules[i]
		level := Level(r.Level)
		if omits(p, r) {
			level = LevelNone
		}
		if !level.Covers(d.Level) && !ofComponents(r) {
			blind = append(blind, Blindness{Detection: d.Name, Needs: d.Level, Has: level, Partly: true, Why: fmt.Sprintf("rule %d%s", i+1, onlyFor(r))})
		}
	}
	if len(p.Rules) == 0 {
		blind = append(blind, Blindness{Detection: d.Name, Needs: d.Level, Has: LevelNone, Why: "no rule records anything"})
	}
	return blind
}

// omits tells whether the end of requests is not recorded.
func omits(p *auditv1.Policy, r *auditv1.PolicyRule) bool {
	return slices.Contains(p.OmitStages, auditv1.StageResponseComplete) || slices.Contains(r.OmitStages, auditv1.StageResponseComplete)
}

// ofComponents tells a rule for nobody but the control plane, which no
// detection is about.
func ofComponents(r *auditv1.PolicyRule) bool {
	return len(r.Users) > 0 && !slices.ContainsFunc(r.Users, func(u string) bool { return !isComponent(u) && u != "system:kube-proxy" })
}

func onlyFor(r *auditv1.PolicyRule) string {
	var parts []string
	for _, of := range []struct {
		what string
		list []string
	}{{"users", r.Users}, {"groups", r.UserGroups}, {"namespaces", r.Namespaces}, {"objects", resourceNames(r)}} {
		if len(of.list) > 0 {
			parts = append(parts, of.what+" "+strings.Join(of.list, ", "))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (for " + strings.Join(parts, "; ") + ")"
}

func resourceNames(r *auditv1.PolicyRule) []string {
	var names []string
	for _, g := range r.Resources {
		names = append(names, g.ResourceNames...)
	}
	return names
}

// CoversResource tells whether a rule is about a resource ("pods/exec"), or about some
// objects of it by name, in the way of k8s.io/apiserver/pkg/audit/policy.
func CoversResource(r *auditv1.PolicyRule, group, path string) bool {
	if len(r.Resources) == 0 {
		return len(r.NonResourceURLs) == 0 || len(r.Namespaces) > 0
	}
	name, sub, _ := strings.Cut(path, "/")
	for _, g := range r.Resources {
		if g.Group != group && g.Group != "*" {
			continue
		}
		if len(g.Resources) == 0 {
			return true
		}
		for _, pattern := range g.Resources {
			patternName, patternSub, hasSub := strings.Cut(pattern, "/")
			switch {
			case pattern == path, pattern == "*":
				return true
			case hasSub && patternSub == "*" && patternName == name, hasSub && patternName == "*" && patternSub == sub && sub != "":
				return true
			}
		}
	}
	return false
}
