package prove

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// answer is what came of one step.
type answer struct {
	// said is the step as it was done, for the record: "POST https://...".
	said     string
	at       time.Time
	took     time.Duration
	accepted bool
	refuser  bailey.Refuser // who refused; empty if nobody, or if it cannot be told
	code     int
	reason   string
	message  string
	auditID  string
	// digest is the SHA-256 of the answer's body, which is not kept.
	digest string
	// output is what later steps may bind.
	output  map[string]any
	taken   time.Time // the moment that a copy showed, where one was read
	failure error     // no answer came
}

func (a answer) String() string {
	switch {
	case a.failure != nil:
		return "no answer: " + a.failure.Error()
	case a.code != 0 && a.accepted:
		return fmt.Sprintf("%d", a.code)
	case a.code != 0:
		return fmt.Sprintf("%d %s: %s", a.code, a.reason, a.message)
	}
	return a.message
}

// refuserOf tells who turned a request down, from the form that the part of the
// API server gives its refusal; empty if that cannot be told. Throttling,
// conflicts, schema errors, timeouts and webhooks that are down are no refusals, but for an
// experiment's own webhook, which is known by its name. The form of the message
// decides, not the words that a policy or a webhook puts into it.
func refuserOf(code int, status metav1.Status, who bailey.Identity) bailey.Refuser {
	message := status.Message
	switch {
	case code == http.StatusUnauthorized:
		return bailey.RefuserAuthentication
	case code == http.StatusInternalServerError && strings.HasPrefix(message, "Internal error occurred: failed calling webhook \""+bailey.ProbePrefix):
		return bailey.RefuserFailedCall
	case code/100 != 4 || code == http.StatusTooManyRequests || code == http.StatusConflict:
		return ""
	case strings.HasPrefix(message, "admission webhook \""):
		if strings.Contains(message, "denied the request") {
			return bailey.RefuserWebhook
		}
		return ""
	case strings.HasPrefix(message, "forbidden: User \"") && strings.Contains(message, " cannot "):
		return bailey.RefuserAuthorization // of a path that is no resource
	}
	_, cause, found := strings.Cut(message, " is forbidden: ")
	begins := func(text string) bool { return found && strings.HasPrefix(cause, text) }
	switch {
	case begins("ValidatingAdmissionPolicy '") && strings.Contains(cause, "denied request"):
		return bailey.RefuserPolicy
	case code != http.StatusForbidden:
		return ""
	case begins("User \"") && strings.Contains(cause, " cannot impersonate ") && who.Token == "":
		return "" // it was the prober that was refused, not the one it wanted to be
	case begins("User \"") && strings.Contains(cause, " cannot "):
		return bailey.RefuserAuthorization
	case begins("violates PodSecurity "):
		return bailey.RefuserPodSecurity
	case begins("exceeded quota: "), begins("failed quota: "):
		return bailey.RefuserQuota
	case begins("maximum "), begins("minimum "), begins("[maximum "), begins("[minimum "):
		return bailey.RefuserLimitRange
	case begins("user \"") && strings.Contains(cause, "is attempting to grant RBAC permissions not currently held"):
		return bailey.RefuserEscalation
	case begins("error looking up service account "), begins("no API token found"):
		return bailey.RefuserServiceAccount
	case begins("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"),
		begins("user not permitted to approve requests with signerName"), begins("user not permitted to sign requests with signerName"),
		begins("user not permitted to attest for signerName"):
		return bailey.RefuserSigning
	case begins("is not allowed to "), begins("node \""), begins("node-restriction"), begins("pod does not have \"kubernetes.io/config.mirror\" annotation"):
		return bailey.RefuserNodes
	}
	return ""
}

// refusedAs reports whether the answer is a refusal by one whom the step names.
func refusedAs(a answer, step *bailey.Step) bool {
	if a.failure != nil || a.accepted || a.refuser == "" {
		return false
	}
	for _, r := range step.Refusers {
		if r == a.refuser {
			return true
		}
	}
	return false
}

// mended reports whether the platform took what was tried and put it right.
func mended(a answer, step *bailey.Step) bool {
	if !a.accepted || step.Mended == "" {
		return false
	}
	_, found := lookup(a.output, step.Mended)
	return found
}
