package network

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var meshRules = []*bailey.Rule{meshPlainText, meshNeverStrict, meshClientPlainText, meshOpenPolicy}

const (
	peerAuthentication  bailey.Kind = "PeerAuthentication.security.istio.io"
	authorizationPolicy bailey.Kind = "AuthorizationPolicy.security.istio.io"
	destinationRule     bailey.Kind = "DestinationRule.networking.istio.io"
)

var istioSecurity = ref.Page("Istio documentation", "Security", "https://istio.io/latest/docs/concepts/security/")

// specOf gives the spec of a custom resource.
func specOf(f *bailey.Fact) map[string]any {
	object, _ := f.Object.(map[string]any)
	return inside(object, "spec")
}

func inside(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

var meshPlainText = &bailey.Rule{
	Name:  "plain-text-taken",
	Title: "Mesh takes plain text",
	Doc: `Reads Istio's PeerAuthentications. Mode DISABLE takes plain text only; PERMISSIVE takes it beside mutual TLS, so a
caller without an identity is served as well, and no policy can tell who it is. PERMISSIVE is for the time of a
migration. A mode for single ports is judged as such.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{istioSecurity, ref.CNCF(233, "A mesh takes nothing on trust"), ref.NIST("SC-8"), ref.NIST("IA-9")},
	On:       []bailey.Kind{peerAuthentication},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		spec := specOf(f)
		var found []bailey.Finding
		note := func(field string, mode any, what string) {
			switch mode {
			case "DISABLE":
				found = append(found, bailey.Finding{Field: field, Message: what + " plain text only", Severity: bailey.SeverityMedium})
			case "PERMISSIVE":
				found = append(found, bailey.Finding{Field: field, Message: what + " plain text beside mutual TLS"})
			}
		}
		note("spec.mtls.mode", inside(spec, "mtls")["mode"], "takes")
		for port, entry := range inside(spec, "portLevelMtls") {
			m, _ := entry.(map[string]any)
			note("spec.portLevelMtls."+port+".mode", m["mode"], "port "+port+" takes")
		}
		return found
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		if finding.Field != "spec.mtls.mode" {
			return nil // an exception for a port has a reason that nobody knows here
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: "callers outside of the mesh are refused from then on",
			Patch: []bailey.PatchOp{{Op: "replace", Path: "/spec/mtls/mode", Value: "STRICT"}}}}
	},
	Bad: []string{`apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: bad, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
`},
}

// meshRoot is Istio's root namespace, unless its installation was told another: what is
// set there without a selector holds for the whole mesh.
const meshRoot = "istio-system"

// joinsMesh reports whether a namespace's labels put its pods into Istio's mesh.
// Source: Istio documentation, sidecar injection and ambient mode.
func joinsMesh(labels map[string]string) bool {
	return labels["istio-injection"] == "enabled" || labels["istio.io/dataplane-mode"] == "ambient" ||
		labels["istio.io/rev"] != "" && labels["istio-injection"] != "disabled"
}

var meshNeverStrict = &bailey.Rule{
	Name:  "no-mode-set",
	Title: "Nothing says that the mesh refuses plain text",
	Doc: `Reads namespaces whose labels put their pods into Istio's mesh, and PeerAuthentications without a selector there
and in istio-system. Where none sets a mode Istio takes plain text beside mutual TLS, as with PERMISSIVE. Where
istio-system was not seen the mode of the whole mesh is unknown. A mesh whose root namespace has another name, and pods
that join one by one, are not judged: the experiment tries them.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{istioSecurity, ref.CNCF(233, "A mesh takes nothing on trust"), ref.NIST("SC-8"), ref.NIST("IA-9")},
	On:       []bailey.Kind{bailey.KindNamespace},
	Needs:    []bailey.Kind{peerAuthentication},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		namespace, ok := bailey.As[*corev1.Namespace](f)
		if !ok || !joinsMesh(namespace.Labels) {
			return nil
		}
		for _, in := range []string{f.Name, meshRoot} {
			for _, p := range v.List(peerAuthentication, in) {
				spec := specOf(p)
				if mode := inside(spec, "mtls")["mode"]; mode != nil && mode != "UNSET" && len(inside(spec, "selector", "matchLabels")) == 0 {
					return nil // which plain-text-taken judges
				}
			}
		}
		if v.Get(bailey.KindNamespace, "", meshRoot) == nil {
			return nil
		}
		return []bailey.Finding{{Field: "metadata.labels", Message: "its pods join the mesh, and no PeerAuthentication of it or of " + meshRoot + " sets a mode: they take plain text beside mutual TLS"}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		object := bailey.Ref{Kind: peerAuthentication, Namespace: f.Name, Name: "default"}
		return []bailey.Change{{Object: object, APIVersion: "security.istio.io/v1", Note: "callers outside of the mesh are refused from then on",
			Content: map[string]any{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
				"metadata": map[string]any{"name": object.Name, "namespace": object.Namespace}, "spec": map[string]any{"mtls": map[string]any{"mode": "STRICT"}}}}}
	},
	Bad: []string{`apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
`},
}

var meshClientPlainText = &bailey.Rule{
	Name:  "client-speaks-plain-text",
	Title: "Mesh is told to call in plain text",
	Doc: `Reads Istio's DestinationRules: trafficPolicy.tls.mode DISABLE makes the callers' sidecars send plain text to the
host, whether it could do better or not. For a host outside of the mesh that serves TLS itself the mode is right only
where the caller already encrypts, which nothing here shows: such a rule can be waived.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{istioSecurity, ref.NIST("SC-8")},
	On:       []bailey.Kind{destinationRule},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		spec := specOf(f)
		if inside(spec, "trafficPolicy", "tls")["mode"] != "DISABLE" {
			return nil
		}
		host, _ := spec["host"].(string)
		return []bailey.Finding{{Field: "spec.trafficPolicy.tls.mode", Message: "sends plain text to " + host}}
	},
	Bad: []string{`apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bad, namespace: shop}
spec: {host: cart, trafficPolicy: {tls: {mode: DISABLE}}}
`},
}

var meshOpenPolicy = &bailey.Rule{
	Name:  "allows-everybody",
	Title: "Mesh policy allows everybody",
	Doc: `Reads Istio's AuthorizationPolicies for a rule of an ALLOW policy that says neither from whom, nor to what, nor when:
it allows every request, those without an identity included, whatever other ALLOW policies say. Policies of DENY and
CUSTOM come before it, and still refuse what they name.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{istioSecurity, ref.NIST("AC-4"), ref.NIST("AC-6")},
	On:       []bailey.Kind{authorizationPolicy},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		spec := specOf(f)
		if action, given := spec["action"]; given && action != "ALLOW" {
			return nil
		}
		rules, _ := spec["rules"].([]any)
		var found []bailey.Finding
		for i, entry := range rules {
			rule, _ := entry.(map[string]any)
			if rule["from"] == nil && rule["to"] == nil && rule["when"] == nil {
				found = append(found, bailey.Finding{Field: "spec.rules[" + strconv.Itoa(i) + "]", Message: "allows every request of everybody"})
			}
		}
		return found
	},
	Bad: []string{`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: bad, namespace: shop}
spec: {action: ALLOW, rules: [{}]}
`},
}
