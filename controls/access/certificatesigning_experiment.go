package access

import (
	"github.com/baileyhq/bailey"
)

// certificateSigningExperiments ask for powerful certificates.
var certificateSigningExperiments = []*bailey.Experiment{powerfulRequests, signersGuarded, requestsGranted}

const (
	certificatesGroup   = "certificates.k8s.io"
	certificatesVersion = certificatesGroup + "/v1"
	clientSigner        = "kubernetes.io/kube-apiserver-client"
	// probeSigner is a signer that nobody runs: what is approved for it is never signed.
	probeSigner = "bailey.dev/probe"
)

var powerfulRequests = &bailey.Experiment{
	Name:  "powerful-requests",
	Title: "Nobody can ask for a client certificate in system:masters",
	Doc: `By dry-run Bailey asks, as its prober, for a client certificate whose subject is in the group system:masters,
which authorization lets do everything and which nothing can take back. The admission plug-in
CertificateSubjectRestriction must refuse it, alone and beside other groups. The twin asks for the same
certificate in an ordinary group. Nothing is stored, and the keys are thrown away.

Other powerful subjects, such as those of nodes and controllers, are not refused by Kubernetes: there all hangs
on who may approve, which access/authorization asks about.`,
	Hypothesis: "A request for a client certificate in system:masters is refused.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1098",
	Detections: []string{"client-certificate"},
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		ask := func(as string) bailey.Request {
			return create(certificatesVersion, "certificatesigningrequests", "", signingRequest("bailey-probe-try", clientSigner, as))
		}
		var probes []bailey.Probe
		for _, subject := range []struct {
			name   string
			groups []string
		}{
			{"system:masters alone", []string{"system:masters"}},
			{"system:masters after another group", []string{"bailey-probe", "system:masters"}},
		} {
			probes = append(probes, bailey.Probe{Name: subject.name, Path: "create certificatesigningrequests",
				Setup: []bailey.Step{forgeRequest("ordinary", "bailey-probe"), forgeRequest("powerful", subject.groups...)},
				Twin:  request(bailey.Identity{}, ask("${ordinary}")),
				Try:   request(bailey.Identity{}, ask("${powerful}"), bailey.RefuserSigning)})
		}
		return probes
	},
}

var signersGuarded = &bailey.Experiment{
	Name:  "signers-guarded",
	Title: "Who may ask may not approve, and who may approve or sign may do so for its signers alone",
	Doc: `Bailey makes three ServiceAccounts with tokens of 10 minutes and ClusterRoles of its own. The first may create
certificate requests and read them: it asks for a certificate in system:masters, and it tries to approve its own
request. The second may change approvals, for the signer ` + probeSigner + ` alone, which nobody runs: it tries to
approve a request to the signer of client certificates. The third may change the status of requests, for that
signer alone: it tries to put a certificate into one of the other's. Where the API server serves them, the first
also tries to ask for a pod's certificate, and the third to publish a ClusterTrustBundle for a signer of
Kubernetes. Writes are server-side dry-runs; the requests that are made for real are never approved. Everything
is removed.

To make these roles the prober itself needs the right to approve, sign and attest for ` + probeSigner + `, and the verb
request, which Bailey's policy about requests asks for. The twin
is the same request for what the ServiceAccount may do. That the roles of the cluster give approval to few is
asked by access/authorization.`,
	Hypothesis: "Neither asking for a certificate nor the right to change requests is enough to have one for another signer.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1098",
	Detections: []string{"client-certificate", "csr-approval"},
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		namespace := probeNamespace("signing")
		const prefix = bailey.ProbePrefix + "${run}-"
		const requests = "certificatesigningrequests"
		setup := []bailey.Step{makeNamespace(namespace), forgeRequest("ordinary", "bailey-probe"), forgeRequest("powerful", "system:masters"),
			{Forge: &bailey.Forge{What: bailey.ForgeAuthority, CommonName: "bailey-probe"}, Bind: map[string]string{"certificate": "certificate", "encoded": "encoded"}},
			makeReal(certificatesVersion, requests, "", signingRequest(prefix+"client", clientSigner, "${ordinary}")),
			makeReal(certificatesVersion, requests, "", signingRequest(prefix+"own", probeSigner, "${ordinary}"))}
		signer := func(verb string) map[string]any { return signerRule(probeSigner, verb) }
		who := func(name string, rules ...any) bailey.Identity {
			setup = append(setup, makeAccount(namespace, name))
			setup = append(setup, clusterRole(prefix+name, namespace, name, rules...)...)
			setup = append(setup, mint(bailey.Identity{}, namespace, name, name, nil))
			return bailey.Identity{Token: "${" + name + "}"}
		}
		asker := who("asker", rule(certificatesGroup, []string{requests}, []string{"create", "get"}), signerRule(clientSigner, requestVerb))
		approver := who("approver", rule(certificatesGroup, []string{requests + "/approval"}, []string{"patch", "update"}), signer("approve"))
		signs := who("signs", rule(certificatesGroup, []string{requests + "/status"}, []string{"patch", "update"}),
			rule(certificatesGroup, []string{"clustertrustbundles"}, []string{"create"}), signer("sign"), signer("attest"))

		ask := func(subject string) bailey.Request {
			return create(certificatesVersion, requests, "", signingRequest(prefix+"try", clientSigner, subject))
		}
		change := func(name, subresource string, status map[string]any) bailey.Request {
			return bailey.Request{Verb: "patch", APIVersion: certificatesVersion, Resource: requests, Subresource: subresource, Name: prefix + name,
				Object: map[string]any{"status": status}}
		}
		approval := map[string]any{"conditions": []any{map[string]any{"type": "Approved", "status": "True", "reason": "BaileyProbe"}}}
		approve := func(name string) bailey.Request { return change(name, "approval", approval) }
		sign := func(name string) bailey.Request {
			return change(name, "status", map[string]any{"certificate": "${encoded}"})
		}
		read := bailey.Request{Verb: "get", APIVersion: certificatesVersion, Resource: requests, Name: prefix + "client"}
		update := approve("client")
		update.Verb = "update"

		setup = append(setup, awaited(request(asker, ask("${ordinary}"))), awaited(request(approver, approve("own"))), awaited(request(signs, sign("own"))))
		var probes []bailey.Probe
		add := func(as bailey.Identity, by bailey.Refuser, name, path string, twin, try bailey.Request) {
			p := bailey.Probe{Name: name, Path: path, Setup: setup, Twin: request(as, twin), Try: request(as, try, by)}
			if try.Resource != requests || try.Subresource == "status" {
				p.Detections = []string{} // signing by who is no signer is no way to a credential, and told by nobody
			}
			probes = append(probes, p)
		}
		add(asker, bailey.RefuserSigning, "ask for system:masters", "create "+requests, ask("${ordinary}"), ask("${powerful}"))
		add(asker, bailey.RefuserAuthorization, "approve what one asked for", "patch "+requests+"/approval", read, approve("client"))
		add(asker, bailey.RefuserAuthorization, "approve what one asked for", "update "+requests+"/approval", read, update)
		add(asker, bailey.RefuserAuthorization, "sign what one asked for", "patch "+requests+"/status", read, sign("client"))
		add(approver, bailey.RefuserSigning, "approve for another signer", "patch "+requests+"/approval", approve("own"), approve("client"))
		add(signs, bailey.RefuserSigning, "sign for another signer", "patch "+requests+"/status", sign("own"), sign("client"))
		if v.Version().AtLeast(1, 37) {
			bundle := func(signer, name string) bailey.Request {
				return create(certificatesVersion, "clustertrustbundles", "", object(certificatesVersion, "ClusterTrustBundle", "", name,
					map[string]any{"spec": map[string]any{"signerName": signer, "trustBundle": "${certificate}"}}))
			}
			add(signs, bailey.RefuserSigning, "publish the trust of another signer", "create clustertrustbundles",
				bundle(probeSigner, "bailey.dev:probe:try"), bundle("kubernetes.io/kube-apiserver-serving", "kubernetes.io:kube-apiserver-serving:bailey-probe"))
			add(asker, bailey.RefuserAuthorization, "ask for a pod's certificate", "create podcertificaterequests", ask("${ordinary}"),
				create(certificatesVersion, "podcertificaterequests", namespace, object(certificatesVersion, "PodCertificateRequest", namespace, "try", nil)))
		}
		return probes
	},
}

// forgeRequest makes a PEM request for a certificate in the groups, and binds it
// by the name.
func forgeRequest(bound string, groups ...string) bailey.Step {
	return bailey.Step{Forge: &bailey.Forge{What: bailey.ForgeRequest, CommonName: "bailey-probe", Organizations: groups},
		Bind: map[string]string{bound: "request"}}
}

// signerRule is a rule of a role: a verb on one signer.
func signerRule(signer, verb string) map[string]any {
	r := rule(certificatesGroup, []string{"signers"}, []string{verb})
	r["resourceNames"] = []any{signer}
	return r
}

func signingRequest(name, signer, request string) map[string]any {
	return object(certificatesVersion, "CertificateSigningRequest", "", name, map[string]any{"spec": map[string]any{
		"signerName": signer, "request": request, "usages": []any{"client auth"}, "expirationSeconds": tokenSeconds,
	}})
}
