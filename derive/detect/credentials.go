package detect

import (
	"time"

	"github.com/baileyhq/bailey"
)

// informer tells a controller that fills its cache: client-go asks for what the
// API server has cached, or watches on from there.
const informer = `serviceAccount && (query[?"resourceVersion"].orValue([""])[0] != "" || query[?"sendInitialEvents"].orValue([""])[0] == "true")`

// helmReleases tells a list that can hold nothing but what Helm stored.
const helmReleases = `query[?"labelSelector"].orValue([""])[0].matches("(^|,)owner==?helm(,|$)")`

var secrets = []string{"secrets"}

var credentialDetections = []*Detection{
	{
		Name: "secrets-dump", Title: "All Secrets of the cluster were listed",
		Doc: `One request for every Secret in every namespace gives every credential that the cluster holds.

Quiet: the control plane, ServiceAccounts whose controllers fill their caches, and Helm looking for its releases.`,
		Unseen:    "Whoever holds a controller's token and imitates the requests by which it fills its cache: that is secrets-cached. Whether the client asked for names only.",
		Technique: "T1552.007", Matrix: "List Kubernetes secrets", Severity: bailey.SeverityHigh,
		On: []Requests{{"", secrets, []string{"list", "watch"}}}, Level: LevelMetadata,
		Expr: `ns == "" && !component && !(` + informer + `) && !(` + helmReleases + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/secrets?limit=500","objectRef":{"resource":"secrets"},"userAgent":"kubectl/v1.37.2"}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:ci:runner"},"requestURI":"/api/v1/secrets","objectRef":{"resource":"secrets"},"responseStatus":{"code":403}}`,
			`{"verb":"watch","stage":"ResponseStarted","user":{"username":"jane"},"requestURI":"/api/v1/secrets?watch=true&resourceVersion=7","objectRef":{"resource":"secrets"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/secrets?labelSelector=owner%21%3Dhelm","objectRef":{"resource":"secrets"}}`,
		},
		Good: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/secrets?limit=500","objectRef":{"resource":"secrets","namespace":"shop"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/secrets?labelSelector=owner%3Dhelm%2Cstatus%3Ddeployed","objectRef":{"resource":"secrets"}}`,
			`{"verb":"list","user":{"username":"system:kube-controller-manager"},"requestURI":"/api/v1/secrets?limit=500&resourceVersion=0","objectRef":{"resource":"secrets"}}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:cert-manager:cert-manager"},"requestURI":"/api/v1/secrets?limit=500&resourceVersion=0","objectRef":{"resource":"secrets"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/configmaps?limit=500","objectRef":{"resource":"configmaps"}}`,
		},
	},
	{
		Name: "secrets-cached", Title: "A ServiceAccount keeps all Secrets of the cluster in its cache",
		Doc:       "A controller does this at its start, and so does somebody who imitates it with its token. Worth a look when nothing was installed or restarted.",
		Unseen:    "Which of the two it is.",
		Technique: "T1552.007", Matrix: "List Kubernetes secrets", Severity: bailey.SeverityInfo,
		On: []Requests{{"", secrets, []string{"list", "watch"}}}, Level: LevelMetadata,
		Expr: `ns == "" && !component && ` + informer + ` && (verb == "list" || "sendInitialEvents" in query) && !(` + helmReleases + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"system:serviceaccount:cert-manager:cert-manager"},"requestURI":"/api/v1/secrets?limit=500&resourceVersion=0","objectRef":{"resource":"secrets"}}`,
			`{"verb":"watch","user":{"username":"system:serviceaccount:a:b"},"requestURI":"/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan","objectRef":{"resource":"secrets"}}`,
		},
		Good: []string{
			`{"verb":"watch","user":{"username":"system:serviceaccount:a:b"},"requestURI":"/api/v1/secrets?watch=true&resourceVersion=71","objectRef":{"resource":"secrets"}}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:kube-system:generic-garbage-collector"},"requestURI":"/api/v1/secrets?limit=500&resourceVersion=0","objectRef":{"resource":"secrets"}}`,
		},
	},
	{
		Name: "secrets-sweep", Title: "The Secrets of one namespace after the other were listed",
		Doc:       "The Secrets of five namespaces within a minute: a dump by somebody who may not list the cluster's at once, or does not want to be seen doing so.",
		Unseen:    "A sweep slower than five namespaces a minute, or spread over identities.",
		Technique: "T1552.007", Matrix: "List Kubernetes secrets", Severity: bailey.SeverityMedium,
		On: []Requests{{"", secrets, []string{"list", "watch"}}}, Level: LevelMetadata,
		Expr:  `ns != "" && name == "" && !component && !node && !(` + informer + `) && !(` + helmReleases + `)`,
		Burst: &Burst{5, time.Minute, `user`, `ns`},
		Bad: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/n{n}/secrets?limit=500","objectRef":{"resource":"secrets","namespace":"n{n}"}}`,
		},
		Good: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/secrets?limit=500","objectRef":{"resource":"secrets","namespace":"shop"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/n{n}/secrets?labelSelector=name%3Dweb%2Cowner%3Dhelm","objectRef":{"resource":"secrets","namespace":"n{n}"}}`,
			`{"verb":"list","user":{"username":"jane{n}"},"requestURI":"/api/v1/namespaces/n{n}/secrets","objectRef":{"resource":"secrets","namespace":"n{n}"}}`,
		},
	},
	{
		Name: "secrets-read-many", Title: "A hundred Secrets were read one by one within a minute",
		Doc: `Whoever may read Secrets by name and knows the names (pods tell them) needs no list.

Quiet: kubelets, which read what their pods mount, and controllers. One Secret read by an administrator is no dump, nor are the forty of a large release.`,
		Unseen:    "Fewer than a hundred a minute; a ServiceAccount whose client does not say that it is a tool.",
		Technique: "T1552.007", Matrix: "List Kubernetes secrets", Severity: bailey.SeverityMedium,
		On: []Requests{{"", secrets, []string{"get"}}}, Level: LevelMetadata,
		Expr:  `!component && !node && (!serviceAccount || tool)`,
		Burst: &Burst{100, time.Minute, `user`, `ns + "/" + name`},
		Bad:   []string{`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/a/secrets/s{n}","objectRef":{"resource":"secrets","namespace":"a","name":"s{n}"}}`},
		Good: []string{
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/a/secrets/one","objectRef":{"resource":"secrets","namespace":"a","name":"one"}}`,
			`{"verb":"get","user":{"username":"system:node:n1"},"requestURI":"/api/v1/namespaces/a/secrets/s{n}","objectRef":{"resource":"secrets","namespace":"a","name":"s{n}"}}`,
		},
	},
	{
		Name: "secrets-collection-deleted", Title: "The Secrets of a namespace were deleted in one request",
		Doc: `The API server answers such a request with everything that it deleted, and with everything that it would have deleted if it is a dry run: a way to read Secrets without the right to list them. kubectl and Helm delete by name.

Quiet: the control plane, which deletes those of a namespace with it.`,
		Unseen:    "Whether the answer was read, or only the Secrets were to go.",
		Technique: "T1552.007", Matrix: "List Kubernetes secrets", Severity: bailey.SeverityHigh,
		On: []Requests{{"", secrets, []string{"deletecollection"}}}, Level: LevelMetadata,
		Expr: `!component`,
		Bad: []string{
			`{"verb":"deletecollection","user":{"username":"system:serviceaccount:ci:runner"},"requestURI":"/api/v1/namespaces/shop/secrets?dryRun=All","objectRef":{"resource":"secrets","namespace":"shop"}}`,
			`{"verb":"deletecollection","user":{"username":"jane"},"responseStatus":{"code":403},"requestURI":"/api/v1/namespaces/shop/secrets","objectRef":{"resource":"secrets","namespace":"shop"}}`,
		},
		Good: []string{
			`{"verb":"deletecollection","user":{"username":"system:serviceaccount:kube-system:namespace-controller"},"requestURI":"/api/v1/namespaces/shop/secrets","objectRef":{"resource":"secrets","namespace":"shop"}}`,
			`{"verb":"delete","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/secrets/x","objectRef":{"resource":"secrets","namespace":"shop","name":"x"}}`,
		},
	},
	{
		Name: "token-theft", Title: "A command in a container read its ServiceAccount token",
		Doc:       "Exec into a pod whose command names the file of the token: the pod's identity can then be used from anywhere. (Reported in the place of exec.)",
		Unseen:    "What is typed into a shell that exec opened: the audit log holds the first command only. Reading the file in ways that do not name it.",
		Technique: "T1528", Matrix: "Container service account", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"pods/exec"}, []string{"create", "get"}}}, Level: LevelMetadata,
		Expr: readsToken,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=cat&command=%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken&stdout=true","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web"}}`,
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=cat+/run/secrets/eks.amazonaws.com/serviceaccount/token","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=ls&command=%2Fvar%2Frun&stdout=true","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web"}}`,
		},
	},
	{
		Name: "token-mint", Title: "A token of a ServiceAccount was minted",
		Doc: `A token that is asked for by hand lives on where nobody can revoke it but by deleting the ServiceAccount. A dry run mints a live one too.

Quiet: kubelets for their pods, the controller manager, and a ServiceAccount for its own namespace.`,
		Unseen:    "For how long and for whom the token is valid. A Secret of type kubernetes.io/service-account-token, which holds a token without end: the type is in the body, and nobody should record the body of a Secret.",
		Technique: "T1528", Matrix: "Container service account", Severity: bailey.SeverityMedium,
		On: []Requests{{"", []string{"serviceaccounts/token"}, []string{"create"}}}, Level: LevelMetadata,
		Expr: mintsToken + ` && ns != "kube-system" && accountNamespace != ns`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts/web/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"shop","name":"web"}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:ci:runner"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts/web/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"shop","name":"web"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"system:node:n1"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts/web/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"shop","name":"web"}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:shop:vault"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts/web/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"shop","name":"web"}}`,
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"shop","name":"web"}}`,
		},
	},
	{
		Name: "token-mint-kube-system", Title: "A token of a ServiceAccount in kube-system was minted",
		Doc: `The controllers' own ServiceAccounts live there. Some of them may give themselves any right, so that minting their token is the way from a small right to all.

Quiet: kubelets, and the controller manager, which mints them for its controllers.`,
		Unseen:    "For how long and for whom the token is valid.",
		Technique: "T1528", Matrix: "Container service account", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"serviceaccounts/token"}, []string{"create"}}}, Level: LevelMetadata,
		Expr: mintsToken + ` && ns == "kube-system"`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts/clusterrole-aggregation-controller/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"kube-system","name":"clusterrole-aggregation-controller"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"system:kube-controller-manager"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts/job-controller/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"kube-system","name":"job-controller"}}`,
			`{"verb":"create","user":{"username":"system:node:n1"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts/coredns/token","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"kube-system","name":"coredns"}}`,
		},
	},
}

const (
	readsToken = `query[?"command"].orValue([]).exists(c, c.contains("secrets/kubernetes.io/serviceaccount") || c.contains("secrets/eks.amazonaws.com/serviceaccount") || c.contains("secrets/azure/tokens"))`
	mintsToken = `!node && user != "system:kube-controller-manager" && user != "system:apiserver"`
)
