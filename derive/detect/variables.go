package detect

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
)

// Variable is a name that the expression of a detection may use.
type Variable struct {
	Name string
	// Doc is one clause for the documentation.
	Doc  string
	Type *cel.Type

	value func(*input) any
}

// input is one event as expressions see it. What costs something is made when
// an expression first asks for it.
type input struct {
	event  *Event
	memory *memory
	// enforced is the Pod Security level that the namespace was last seen to
	// enforce.
	enforced string

	object *Object
	url    *url.URL
	query  url.Values
}

func (in *input) sent() *Object {
	if in.object == nil {
		in.object = project(in.event.RequestObject)
	}
	return in.object
}

func (in *input) uri() *url.URL {
	if in.url == nil {
		parsed, err := url.ParseRequestURI(in.event.RequestURI)
		if err != nil {
			parsed = &url.URL{Path: in.event.RequestURI}
		}
		in.url, in.query = parsed, parsed.Query()
	}
	return in.url
}

func (in *input) parameters() url.Values {
	in.uri()
	return in.query
}

// The keys under which the API server describes a ServiceAccount's token.
const (
	extraCredential = "authentication.kubernetes.io/credential-id"
	extraPod        = "authentication.kubernetes.io/pod-name"
)

const accountPrefix = "system:serviceaccount:"

// Variables are what expressions may use, in the order of the documentation.
var Variables = []Variable{
	{"user", "who asked, before impersonation", cel.StringType, func(in *input) any { return in.event.User.Username }},
	{"groups", "the groups of the user", cel.ListType(cel.StringType), func(in *input) any { return in.event.User.Groups }},
	{"component", "the user is a part of the control plane: the API server itself, the scheduler, the controller manager or one of its controllers. A token that is bound to a pod is none of a controller's", cel.BoolType, func(in *input) any { return in.event.User.isComponent() }},
	{"node", "the user is a node", cel.BoolType, func(in *input) any { return isNode(in.event.User.Username) }},
	{"controllerName", "the object bears the name of a controller of kube-controller-manager", cel.BoolType, func(in *input) any { return slices.Contains(controllers, in.event.Object.Name) }},
	{"serviceAccount", "the user is a ServiceAccount", cel.BoolType, func(in *input) any { return strings.HasPrefix(in.event.User.Username, accountPrefix) }},
	{"accountNamespace", "the ServiceAccount's namespace, or empty", cel.StringType, func(in *input) any { return accountNamespace(in.event.User.Username) }},
	{"podCredential", "the id of a token that is bound to a pod, or empty", cel.StringType, func(in *input) any { return podCredential(&in.event.User) }},
	{"impersonated", "whom the user acted as, or empty", cel.StringType, func(in *input) any {
		if in.event.Impersonated == nil {
			return ""
		}
		return in.event.Impersonated.Username
	}},
	{"impersonatedGroups", "the groups of whom the user acted as", cel.ListType(cel.StringType), func(in *input) any {
		if in.event.Impersonated == nil {
			return []string(nil)
		}
		return in.event.Impersonated.Groups
	}},
	{"agent", "the client's User-Agent, which it chooses itself", cel.StringType, func(in *input) any { return in.event.UserAgent }},
	{"tool", "the User-Agent is that of a tool that people run: kubectl, curl, a script", cel.BoolType, func(in *input) any { return isTool(in.event.UserAgent) }},
	{"address", "where the request came from: the last of sourceIPs, which the client cannot invent", cel.StringType, func(in *input) any { return in.event.Address() }},
	{"shared", "three nodes or more came from this address lately, so that it hides who is behind it", cel.BoolType, func(in *input) any { return in.memory.shared(in.event.Address(), in.event.Time()) }},
	{"auditID", "the request's audit ID", cel.StringType, func(in *input) any { return in.event.AuditID }},
	{"verb", "get, list, create and so on", cel.StringType, func(in *input) any { return in.event.Verb }},
	{"resource", "the plural name, with the subresource after a slash: pods/exec; empty for other paths", cel.StringType, func(in *input) any { return in.event.Object.Path() }},
	{"ns", "the namespace asked about; empty for all of them", cel.StringType, func(in *input) any { return in.event.Object.Namespace }},
	{"name", "the object's name; empty for a list", cel.StringType, func(in *input) any { return in.event.Object.Name }},
	{"path", "the request's path", cel.StringType, func(in *input) any { return in.uri().Path }},
	{"query", "the request's parameters", cel.MapType(cel.StringType, cel.ListType(cel.StringType)), func(in *input) any { return map[string][]string(in.parameters()) }},
	{"code", "the HTTP status of the answer; 0 if it is not recorded", cel.IntType, func(in *input) any { return int64(in.event.Status.Code) }},
	{"message", "what the API server answered, where it is an error", cel.StringType, func(in *input) any { return in.event.Status.Message }},
	{"authorized", "authorization let the request pass", cel.BoolType, func(in *input) any { return in.event.authorized() }},
	{"forbidden", "authorization refused the request", cel.BoolType, func(in *input) any { return in.event.Annotations[annotationDecision] == "forbid" }},
	{"enforced", "the Pod Security level that this namespace was last seen to enforce, or empty", cel.StringType, func(in *input) any { return in.enforced }},
	{"object", "what the request's body says; see below", cel.ObjectType("detect.Object"), func(in *input) any { return in.sent() }},
}

// variables is Variables by name.
var variables = func() map[string]func(*input) any {
	m := make(map[string]func(*input) any, len(Variables))
	for _, v := range Variables {
		m[v.Name] = v.value
	}
	return m
}()

// ResolveName makes an input the activation of an expression.
func (in *input) ResolveName(name string) (any, bool) {
	value, found := variables[name]
	if !found {
		return nil, false
	}
	return value(in), true
}

// Parent is that of an activation that stands alone.
func (in *input) Parent() cel.Activation { return nil }

const annotationDecision = "authorization.k8s.io/decision"

func (e *Event) authorized() bool {
	if decision, found := e.Annotations[annotationDecision]; found {
		return decision == "allow"
	}
	return e.Status.Code > 0 && e.Status.Code < 400
}

// controllers are the ServiceAccounts in kube-system as which the controllers
// of kube-controller-manager act; they are made in
// plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go.
var controllers = []string{
	"attachdetach-controller", "certificate-controller", "clusterrole-aggregation-controller", "cronjob-controller",
	"daemon-set-controller", "deployment-controller", "device-taint-eviction-controller", "disruption-controller",
	"endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller", "ephemeral-volume-controller",
	"expand-controller", "generic-garbage-collector", "horizontal-pod-autoscaler", "job-controller",
	"legacy-service-account-token-cleaner", "namespace-controller", "node-controller", "persistent-volume-binder",
	"pod-garbage-collector", "podcertificaterequestcleaner", "pv-protection-controller", "pvc-protection-controller",
	"replicaset-controller", "replication-controller", "resource-claim-controller", "resourcequota-controller",
	"root-ca-cert-publisher", "route-controller", "selinux-warning-controller", "service-account-controller",
	"service-cidrs-controller", "service-controller", "statefulset-controller", "storage-version-migrator-controller",
	"token-cleaner", "bootstrap-signer", "ttl-after-finished-controller", "ttl-controller",
	"validatingadmissionpolicy-status-controller", "volumeattributesclass-protection-controller",
	"kube-apiserver-serving-clustertrustbundle-publisher",
}

// isComponent tells a part of the control plane. Its controllers get their tokens from the controller
// manager, bound to no pod: a pod that runs under such a name is somebody else.
func (u *User) isComponent() bool {
	return isComponent(u.Username) && len(u.Extra[extraPod]) == 0
}

func isComponent(user string) bool {
	switch user {
	case "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler":
		return true
	}
	name, ok := strings.CutPrefix(user, accountPrefix+"kube-system:")
	return ok && slices.Contains(controllers, name)
}

func isNode(user string) bool { return strings.HasPrefix(user, "system:node:") }

func accountNamespace(user string) string {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return ""
	}
	namespace, _, _ := strings.Cut(rest, ":")
	return namespace
}

func podCredential(u *User) string {
	if len(u.Extra[extraPod]) == 0 || len(u.Extra[extraCredential]) == 0 {
		return ""
	}
	return u.Extra[extraCredential][0]
}

// tools begin the User-Agent of programs that people and scripts run, and no
// kubelet or controller does. A program that hides says something else.
var tools = []string{"kubectl", "curl/", "Wget", "python-", "Python-", "Go-http-client", "helm", "Helm", "k9s", "OpenAPI-Generator", "okhttp", "axios", "node-fetch", "Mozilla/"}

func isTool(agent string) bool {
	if agent == "" {
		return true
	}
	return slices.ContainsFunc(tools, func(prefix string) bool { return strings.HasPrefix(agent, prefix) })
}
