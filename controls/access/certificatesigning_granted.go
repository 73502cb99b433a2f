package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var requestsGranted = &bailey.Experiment{
	Name:  "requests-granted",
	Title: "The signers of Kubernetes answer those alone who hold them",
	Doc: `Where Bailey's policies about certificate requests are in place, Bailey makes ServiceAccounts with tokens of 10
minutes and ClusterRoles of its own. The first may create certificate requests and holds no signer: it asks the
signers of Kubernetes for a client's, a kubelet's and a server's certificate. The second holds the signer of client
certificates, and asks for one of ten days. The third may ask and approve for ` + probeSigner + `, which nobody
runs: it tries to approve what it asked for. Writes are server-side dry-runs; the request that is made for real is
never approved. Everything is removed.

The twin is a request of the same identity to ` + probeSigner + `, for an hour, or the approval of what another
asked for. Where no such policy is in place nobody claims it, and nothing is tried.`,
	Hypothesis: "Who may create certificate requests can ask no signer of Kubernetes without holding it, and approves none of theirs.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1098",
	Scope:      bailey.ScopeCluster,
	Needs:      vap.ClaimNeeds,
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		contained, byOthers := vap.Claimed(v, "certificate-requests-contained"), vap.Claimed(v, "approvals-by-others")
		if !contained && !byOthers {
			return nil
		}
		namespace := probeNamespace("granted")
		const prefix = bailey.ProbePrefix + "${run}-"
		const requests = "certificatesigningrequests"
		ask := func(signer string, usages ...any) bailey.Request {
			o := signingRequest(prefix+"try", signer, "${ordinary}")
			if len(usages) > 0 {
				o["spec"].(map[string]any)["usages"] = usages
			}
			return create(certificatesVersion, requests, "", o)
		}
		lasting := ask(clientSigner)
		lasting.Object["spec"].(map[string]any)["expirationSeconds"] = 864000
		approve := func(name string) bailey.Request {
			return bailey.Request{Verb: "patch", APIVersion: certificatesVersion, Resource: requests, Subresource: "approval", Name: prefix + name,
				Object: map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Approved", "status": "True", "reason": "BaileyProbe"}}}}}
		}

		setup := []bailey.Step{makeNamespace(namespace), forgeRequest("ordinary", "bailey-probe"),
			makeReal(certificatesVersion, requests, "", signingRequest(prefix+"others", probeSigner, "${ordinary}"))}
		who := func(name string, rules ...any) bailey.Identity {
			setup = append(setup, makeAccount(namespace, name))
			setup = append(setup, clusterRole(prefix+name, namespace, name, append(rules, rule(certificatesGroup, []string{requests}, []string{"create", "get"}))...)...)
			setup = append(setup, mint(bailey.Identity{}, namespace, name, name, nil))
			return bailey.Identity{Token: "${" + name + "}"}
		}
		stranger := who("stranger")
		holder := who("holder", signerRule(clientSigner, requestVerb))
		approver := who("approver", rule(certificatesGroup, []string{requests + "/approval"}, []string{"patch", "update"}), signerRule(probeSigner, "approve"))
		own := create(certificatesVersion, requests, "", signingRequest(prefix+"own", probeSigner, "${ordinary}"))
		own.Real = true
		setup = append(setup, awaited(request(stranger, ask(probeSigner))), awaited(request(holder, ask(clientSigner))),
			awaited(request(approver, own)), awaited(request(approver, approve("others"))))

		var probes []bailey.Probe
		add := func(as bailey.Identity, name, path string, twin, try bailey.Request) {
			probes = append(probes, bailey.Probe{Name: name, Path: path, Setup: setup, Twin: request(as, twin),
				Try: request(as, try, bailey.RefuserPolicy, bailey.RefuserWebhook)})
		}
		if contained {
			const path = "create " + requests
			add(stranger, "ask for a client's certificate", path, ask(probeSigner), ask(clientSigner))
			add(stranger, "ask for a kubelet's client certificate", path, ask(probeSigner), ask("kubernetes.io/kube-apiserver-client-kubelet"))
			add(stranger, "ask for a kubelet's serving certificate", path, ask(probeSigner), ask("kubernetes.io/kubelet-serving", "server auth"))
			add(holder, "ask for ten days", path, ask(clientSigner), lasting)
		}
		if byOthers {
			add(approver, "approve what one asked for", "patch "+requests+"/approval", approve("others"), approve("own"))
		}
		return probes
	},
}
