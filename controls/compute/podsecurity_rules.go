package compute

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// standardCheck is one check of the Pod Security Standards as a rule. The
// upstream check decides, at the version that the snapshot is judged at; what
// is here says where the fault is and what it gives an attacker.
//
// For every pod and version, some rule of the baseline checks finds something
// if and only if the upstream evaluator refuses the pod at level baseline, and
// some rule of any check if and only if it refuses it at restricted. Three
// things are quieter than upstream without changing that: of a privileged
// container only the rule "privileged" speaks, a host port that hostNetwork
// makes is told by "host-namespaces", and where a restricted check repeats a
// baseline check more strictly, its rule leaves out what the other finds.
type standardCheck struct {
	policy.Check
	rule bailey.Rule
	// suspect must hold for every pod that the check may refuse, at any version.
	// It allocates nothing, and spares most pods the upstream check.
	suspect func(workload.Workload) bool
	// locate gives the places at fault in a pod that the check refused.
	locate func(refused) []violation
	// manual tells that no patch can put it right.
	manual bool
}

// refused is a pod that an upstream check refused.
type refused struct {
	workload.Workload
	check policy.CheckPodFn
}

// alone asks the check about a pod that has nothing but what it is given and
// the original's operating system and user namespace.
func (r refused) alone(pod *corev1.PodSecurityContext, containers ...corev1.Container) bool {
	spec := corev1.PodSpec{OS: r.Spec.OS, HostUsers: r.Spec.HostUsers, SecurityContext: pod, Containers: containers}
	return !r.check(&metav1.ObjectMeta{}, &spec).Allowed
}

// at gives the check as it is at a version of Kubernetes; nil if it does not
// exist there. The zero version is the latest.
func (c *standardCheck) at(v bailey.Version) policy.CheckPodFn {
	for i := len(c.Versions) - 1; i >= 0; i-- {
		least := c.Versions[i].MinimumVersion
		if v.IsZero() || v.AtLeast(least.Major(), least.Minor()) {
			return c.Versions[i].CheckPod
		}
	}
	return nil
}

// refuses reports whether the check refuses the pods, and gives the check.
func (c *standardCheck) refuses(v bailey.Version, w workload.Workload) (policy.CheckPodFn, bool) {
	if !c.suspect(w) {
		return nil, false
	}
	check := c.at(v)
	if check == nil || check(w.Meta, w.Spec).Allowed {
		return nil, false
	}
	return check, true
}

func (c *standardCheck) find(v *bailey.View, w workload.Workload) []violation {
	check, bad := c.refuses(v.Version(), w)
	if !bad {
		return nil
	}
	return c.locate(refused{w, check})
}

// standardChecks are all checks of the standards, baseline first.
var standardChecks = []*standardCheck{
	&privilegedCheck, &hostNamespacesCheck, &hostPathVolumesCheck, &capabilitiesBaselineCheck,
	&windowsHostProcessCheck, &hostPortsCheck, &hostProbesCheck, &seccompBaselineCheck,
	&appArmorCheck, &seLinuxCheck, &procMountCheck, &sysctlsCheck,

	&runAsNonRootCheck, &runAsUserCheck, &allowPrivilegeEscalationCheck, &capabilitiesRestrictedCheck,
	&seccompRestrictedCheck, &restrictedVolumesCheck, &procMountRestrictedCheck,
}

// podSecurityRules are the rules of compute/pod-security: one for each check of
// the standards, and those on namespaces.
var podSecurityRules = append(standardRules(api.LevelBaseline, api.LevelRestricted), namespaceNotEnforced, enforceVersionOld)

// ruleOf holds the rule that each check became.
var ruleOf = makeRules()

func makeRules() map[policy.CheckID]*bailey.Rule {
	rules := make(map[policy.CheckID]*bailey.Rule, len(standardChecks))
	for _, c := range standardChecks {
		rules[c.ID] = templateRule(c.rule, c.find)
		if c.manual {
			rules[c.ID].Fix = nil
		}
	}
	return rules
}

// standardRules gives the rules of the checks of the levels, in order.
func standardRules(levels ...api.Level) []*bailey.Rule {
	var rules []*bailey.Rule
	for _, level := range levels {
		for _, c := range standardChecks {
			if c.Level == level {
				rules = append(rules, ruleOf[c.ID])
			}
		}
	}
	return rules
}

// strictest gives the strictest level that would admit the pods, and the check
// that keeps them from the next one; nil if that is restricted.
func strictest(v bailey.Version, w workload.Workload) (api.Level, *standardCheck) {
	level, first := api.LevelRestricted, (*standardCheck)(nil)
	for _, c := range standardChecks { // baseline first
		if _, bad := c.refuses(v, w); bad {
			if c.Level == api.LevelBaseline {
				return api.LevelPrivileged, c
			}
			return api.LevelBaseline, c
		}
	}
	return level, first
}
