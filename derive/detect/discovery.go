package detect

import (
	"time"

	"github.com/baileyhq/bailey"
)

var discoveryDetections = []*Detection{
	{
		Name: "permission-probe", Title: "Somebody asked many times what they may do",
		Doc: `Fifty reviews of one's own rights within a minute: the first thing that tools do with a stolen credential.

Quiet: kubectl auth can-i, and consoles in a browser, which ask for each button.`,
		Unseen:    "One request for all rules at once (SelfSubjectRulesReview), which everybody may make.",
		Technique: "T1069", Matrix: "Access Kubernetes API server", Severity: bailey.SeverityMedium,
		On: []Requests{{"authorization.k8s.io", []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}, []string{"create"}}}, Level: LevelMetadata,
		Expr:  `!component && !agent.startsWith("Mozilla/")`,
		Burst: &Burst{50, time.Minute, `impersonated == "" ? user : user + " as " + impersonated`, `auditID`},
		Bad:   []string{`{"verb":"create","auditID":"a{n}","user":{"username":"jane"},"requestURI":"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews","objectRef":{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}}`},
		Good: []string{
			`{"verb":"create","auditID":"a","user":{"username":"jane"},"requestURI":"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews","objectRef":{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}}`,
			`{"verb":"create","auditID":"a{n}","user":{"username":"jane"},"userAgent":"Mozilla/5.0","requestURI":"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews","objectRef":{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}}`,
			`{"verb":"create","auditID":"a{n}","user":{"username":"jane"},"requestURI":"/apis/authorization.k8s.io/v1/subjectaccessreviews","objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"}}`,
		},
	},
	{
		Name: "forbidden-burst", Title: "Somebody tried one forbidden thing after the other",
		Doc: `Twenty different requests that authorization refused, within a minute: somebody tries what a credential is good for.

Quiet: a controller that lacks one right asks for the same again and again; kubectl get all asks for a dozen kinds.`,
		Unseen:    "Refusals by admission; a slower search.",
		Technique: "T1613", Matrix: "Access Kubernetes API server", Severity: bailey.SeverityMedium,
		Level: LevelMetadata,
		Expr:  `forbidden && !component && !node && user != "system:anonymous"`,
		Burst: &Burst{20, time.Minute, `impersonated == "" ? user : user + " as " + impersonated`, `resource == "" ? path : verb + " " + resource`},
		Bad: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/things{n}","annotations":{"authorization.k8s.io/decision":"forbid"},"responseStatus":{"code":403},"objectRef":{"resource":"things{n}"}}`,
		},
		Good: []string{
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/n{n}/pods","annotations":{"authorization.k8s.io/decision":"forbid"},"responseStatus":{"code":403},"objectRef":{"resource":"pods","namespace":"n{n}"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/things{n}","annotations":{"authorization.k8s.io/decision":"allow"},"responseStatus":{"code":403},"objectRef":{"resource":"things{n}"}}`,
		},
	},
}
