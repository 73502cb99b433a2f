package compute

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var capabilitiesRestrictedCheck = standardCheck{
	Check: policy.CheckCapabilitiesRestricted(),
	rule: bailey.Rule{
		Name:  "capabilities-restricted",
		Title: "Container keeps capabilities",
		Doc: `Few programs need any of the capabilities that runtimes grant by default. Restricted wants drop: [ALL], and
allows no addition but NET_BIND_SERVICE. Additions that baseline forbids too are told by capabilities-baseline.`,
		Severity: bailey.SeverityLow,
		Refs:     []bailey.Reference{standards, ref.CIS("5.2.8", "Few or no containers have NET_RAW"), ref.CIS("5.2.9", "Few or no containers have capabilities"), ref.CNCF(226, "Only sanctioned capabilities and system calls")},
		Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: default}
spec:
  containers:
  - {name: main, image: registry.example/app:1}
`},
	},
	suspect: func(w workload.Workload) bool {
		return anyContainer(w.Spec, func(c *corev1.Container) bool { return !dropsAll(c) }) || addsCapability(w)
	},
	locate: func(r refused) (found []violation) {
		for c := range r.Containers() {
			if isPrivileged(c.Container) {
				continue
			}
			var kept []any
			var taken []string
			if c.SecurityContext != nil && c.SecurityContext.Capabilities != nil {
				kept, taken = splitCapabilities(c.SecurityContext.Capabilities.Add, func(name corev1.Capability) bool {
					return name == "NET_BIND_SERVICE" || beyondDefault(name)
				})
			}
			drops := dropsAll(c.Container)
			binds := !drops && bindsLow(c.Container)
			if drops && len(taken) == 0 {
				continue
			}
			at, message := ".securityContext.capabilities.drop", label(c)+" does not drop ALL capabilities"
			switch adds := strings.Join(taken, ", "); {
			case drops:
				at, message = ".securityContext.capabilities.add", label(c)+" adds "+adds
			case adds != "":
				message += ", and adds " + adds
			}
			found = append(found, violation{
				fault: containerFault(c, at, message),
				patch: func() (ops []bailey.PatchOp) {
					if binds {
						kept = append(kept, bindService)
					}
					if !drops {
						if c.SecurityContext != nil && c.SecurityContext.Capabilities != nil {
							ops = append(ops, add(c.Pointer("/securityContext/capabilities/drop"), []any{"ALL"}))
						} else {
							ops = setContainer(c, "capabilities", map[string]any{})
							ops = append(ops, add(c.Pointer("/securityContext/capabilities/drop"), []any{"ALL"}))
						}
					}
					switch {
					case len(taken) > 0:
						ops = append(ops, keepCapabilities(c, kept)...)
					case binds:
						ops = append(ops, add(c.Pointer("/securityContext/capabilities/add"), kept))
					}
					return ops
				},
				note: capabilitiesNote(binds),
			})
		}
		return found
	},
}

// bindService is the capability to listen on ports below 1024, all that restricted lets
// a container add.
const bindService = "NET_BIND_SERVICE"

// bindsLow reports whether the container declares a port below 1024, and by its list of
// capabilities neither drops nor adds what one needs to listen there.
func bindsLow(c *corev1.Container) bool {
	if s := c.SecurityContext; s != nil && s.Capabilities != nil && (slices.Contains(s.Capabilities.Drop, bindService) || slices.Contains(s.Capabilities.Add, bindService)) {
		return false
	}
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.ContainerPort < 1024 })
}

func capabilitiesNote(binds bool) string {
	const note = "A program that changes its user, or file owners, needs the capabilities for it."
	if binds {
		return note + " NET_BIND_SERVICE stays for the ports below 1024."
	}
	return note
}

func dropsAll(c *corev1.Container) bool {
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return false
	}
	for _, name := range c.SecurityContext.Capabilities.Drop {
		if name == "ALL" {
			return true
		}
	}
	return false
}
