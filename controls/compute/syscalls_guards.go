package compute

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var syscallsGuards = []*bailey.Guard{confined, privilegedRefused}

const syscallsID = "compute/syscalls"

// isWindowsCEL is isWindows in CEL.
const isWindowsCEL = "variables.spec.?os.?name.orValue('') == 'windows'"

// isPrivilegedCEL is isPrivileged in CEL, of the container c.
const isPrivilegedCEL = "c.?securityContext.?privileged.orValue(false)"

var confined = vap.Guard(vap.Policy{
	Control: syscallsID, Name: "confined",
	Title: "No container is admitted that gives up seccomp, AppArmor or SELinux",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with a container that is told to run without a
seccomp filter, without an AppArmor profile, or with an SELinux type that confines nothing: by its own setting, by the
pod's where it has none, or by AppArmor's old annotation. Privileged containers, whom no such setting reaches, are
privileged-refused's.`,
	Covers:    []*bailey.Rule{seccompUnconfined, appArmorUnconfined, seLinuxUnconfined},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "judged", Expression: isWindowsCEL + " ? [] : variables.containers.filter(c, !" + isPrivilegedCEL + ")"},
		admissionv1.Variable{Name: "noSeccomp", Expression: "variables.judged.filter(c, (c.?securityContext.?seccompProfile.hasValue() ? " +
			"c.securityContext.seccompProfile.type : variables.spec.?securityContext.?seccompProfile.?type.orValue('')) == 'Unconfined').map(c, c.name)"},
		admissionv1.Variable{Name: "noAppArmor", Expression: "variables.judged.filter(c, c.?securityContext.?appArmorProfile.hasValue() ? " +
			"c.securityContext.appArmorProfile.type == 'Unconfined' : (variables.spec.?securityContext.?appArmorProfile.?type.orValue('') == 'Unconfined' || " +
			"variables.template.?metadata.?annotations[?('" + appArmorAnnotation + "' + c.name)].orValue('') == 'unconfined')).map(c, c.name)"},
		admissionv1.Variable{Name: "noSELinux", Expression: "variables.judged.filter(c, (c.?securityContext.?seLinuxOptions.hasValue() ? " +
			"c.securityContext.seLinuxOptions.?type.orValue('') : variables.spec.?securityContext.?seLinuxOptions.?type.orValue('')) in ['" +
			strings.Join(unconfinedTypes, "', '") + "']).map(c, c.name)"},
	),
	Checks: []vap.Check{
		vap.Pods("size(variables.noSeccomp) == 0", "'without a seccomp filter (seccompProfile: Unconfined): ' + variables.noSeccomp.join(', ')"),
		vap.Pods("size(variables.noAppArmor) == 0", "'without an AppArmor profile (Unconfined): ' + variables.noAppArmor.join(', ')"),
		vap.Pods("size(variables.noSELinux) == 0", "'with an SELinux type that confines nothing: ' + variables.noSELinux.join(', ')"),
	},
})

var privilegedRefused = vap.Guard(vap.Policy{
	Control: syscallsID, Name: "privileged-refused",
	Title: "No privileged container is admitted, but one under an AppArmor profile of its own",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with a privileged container, which runs
without a seccomp filter whatever it names. One that names an AppArmor profile of the node passes, as the rule lets it
pass. The level baseline of Pod Security refuses both.`,
	Covers:    []*bailey.Rule{privilegedUnconfined},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "privileged", Expression: isWindowsCEL + " ? [] : variables.containers.filter(c, " + isPrivilegedCEL +
			" && c.?securityContext.?appArmorProfile.?type.orValue('') != 'Localhost').map(c, c.name)"},
	),
	Checks: []vap.Check{vap.Pods("size(variables.privileged) == 0", "'privileged: ' + variables.privileged.join(', ')")},
})
