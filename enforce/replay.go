package enforce

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/baileyhq/bailey/enforce/policy"
)

// Recorded is a request that was admitted, as an audit log holds it.
type Recorded struct {
	Verb                           string
	Group, Resource, Subresource   string
	Namespace, Name, User, AuditID string
	Groups                         []string
	// Code is how it was answered: 201 tells that an update or a patch made its object.
	Code   int
	DryRun bool
	// Body is the object or the patch that was sent, Answer the object that was answered;
	// empty where the audit policy keeps none.
	Body, Answer []byte
}

// Replayed is what the planned policies would have refused of an audit log's requests.
type Replayed struct {
	// Evaluated counts the writes that a policy decided upon.
	Evaluated int `json:"evaluated"`
	// Refused is by policy, the most frequent first.
	Refused map[string][]RefusedRequests `json:"refused"`
	// NotEvaluated counts, by the reason, the writes that could not be.
	NotEvaluated map[string]int `json:"notEvaluated"`
}

// RefusedRequests are like requests of one user that a policy would have refused.
type RefusedRequests struct {
	User      string `json:"user"`
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Count     int    `json:"count"`
	// Message is what the first would have been told; AuditID is its own.
	Message string `json:"message"`
	AuditID string `json:"auditID"`
}

// refusedKinds bounds how many different requests are told apart for a policy.
const refusedKinds = 1000

// Replay judges one request of an audit log as if the plan had been in place. Requests
// come in the log's order: an update is judged beside the object as an earlier answer
// showed it. Reads and deletions are passed over: no planned policy looks at them.
func (j *Judge) Replay(ctx context.Context, r *Recorded) error {
	switch r.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
	default:
		return nil
	}
	if !j.follows(r) {
		return nil
	}
	defer j.history.note(r)
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	if r.Verb == "delete" || r.Verb == "deletecollection" || len(j.lookingAt(schema.GroupResource{Group: r.Group, Resource: resource})) == 0 {
		return nil
	}
	request, why := j.request(r)
	if why != "" {
		j.notEvaluated(why)
		return nil
	}
	denials, undecided, err := j.set.Review(ctx, request)
	if err != nil {
		return err
	}
	for _, u := range undecided {
		j.notEvaluated(u.Why)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.replayed.Evaluated++
	for _, d := range denials {
		j.count(r, &d)
	}
	return nil
}

// follows reports whether a policy looks at the request's resource, or at a subresource
// of it.
func (j *Judge) follows(r *Recorded) bool {
	for _, named := range j.resources {
		for n := range named {
			if main, _, _ := strings.Cut(n.Resource, "/"); n.Group == r.Group && main == r.Resource {
				return true
			}
		}
	}
	return false
}

// request is what admission saw of a recorded request; or why that is not known. What
// was answered is nearer to it than what was sent: defaults and other plug-ins come first.
func (j *Judge) request(r *Recorded) (request *policy.Request, why string) {
	sent, now := decoded(r.Body), r.answered()
	request = &policy.Request{Namespace: r.Namespace, Name: r.Name, Subresource: r.Subresource, DryRun: r.DryRun, User: &user.DefaultInfo{Name: r.User, Groups: r.Groups}}
	object := cmp.Or(now, sent)
	switch {
	case slices.Contains(connecting, r.Subresource):
		return nil, "it opens a connection, and the log does not hold its options"
	case len(r.Body) == 0 && now == nil:
		return nil, "the audit log holds no body of it (the audit policy's level is Metadata)"
	case r.Verb == "create" || r.Code == http.StatusCreated:
		if r.Subresource != "" {
			object = sent // of a kind of its own
		}
		request.Operation, request.Options = admission.Create, &metav1.CreateOptions{}
	case r.Verb == "patch" && now == nil:
		return nil, "it is a patch, and the log does not hold what came of it (the audit policy's level is not RequestResponse)"
	default:
		old, why := j.history.before(r, now)
		if why != "" {
			return nil, why
		}
		if object != nil && old.GroupVersionKind() != object.GroupVersionKind() {
			return nil, "it is an update, and the log holds the object before it in another version"
		}
		request.Operation, request.Options, request.Old = admission.Update, &metav1.UpdateOptions{}, old
	}
	if object == nil {
		return nil, "its body is no object"
	}
	object.SetNamespace(cmp.Or(object.GetNamespace(), r.Namespace))
	request.Name, request.Object, request.Kind = cmp.Or(r.Name, object.GetName()), object, object.GroupVersionKind()
	request.Resource = schema.GroupVersionResource{Group: r.Group, Version: request.Kind.Version, Resource: r.Resource}
	return request, ""
}

func (j *Judge) count(r *Recorded, d *policy.Denial) {
	all := j.replayed.Refused[d.Policy]
	for i := range all {
		if q := &all[i]; q.User == r.User && q.Verb == r.Verb && q.Resource == r.Resource && q.Namespace == r.Namespace {
			q.Count++
			return
		}
	}
	if len(all) < refusedKinds {
		j.replayed.Refused[d.Policy] = append(all, RefusedRequests{r.User, r.Verb, r.Resource, r.Namespace, 1, d.Message, r.AuditID})
		return
	}
	all[len(all)-1].Count++
}

func (j *Judge) notEvaluated(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.replayed.NotEvaluated[why]++
}

// Replayed is what Replay has seen so far.
func (j *Judge) Replayed() Replayed {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, all := range j.replayed.Refused {
		slices.SortFunc(all, func(a, b RefusedRequests) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.User, b.User))
		})
	}
	return j.replayed
}

// String is "create pods in shop by system:serviceaccount:ci:runner, 12 times".
func (q RefusedRequests) String() string {
	text := q.Verb + " " + q.Resource
	if q.Namespace != "" {
		text += " in " + q.Namespace
	}
	text += " by " + q.User
	if q.Count > 1 {
		text += fmt.Sprintf(", %d times", q.Count)
	}
	return text
}
