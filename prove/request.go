package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// answerLimit bounds what is read of an answer, in bytes.
const answerLimit = 1 << 20

// answer is what the API server said to one request.
type answer struct {
	code    int
	status  metav1.Status
	failure error // no answer came
}

func (a answer) accepted() bool { return a.failure == nil && a.code/100 == 2 }

func (a answer) String() string {
	if a.failure != nil {
		return "no answer: " + a.failure.Error()
	}
	return fmt.Sprintf("%d %s: %s", a.code, a.status.Reason, a.status.Message)
}

// refuser tells who turned the request down, from the text that the part of
// the API server puts into its refusal; empty if that cannot be told. Only a
// 403, and for policies and webhooks also another 4xx of their choice, is a
// refusal; throttling, conflicts and schema errors are not. The form of the
// message decides, not the words that a policy or a webhook puts into it.
func (a answer) refuser() bailey.Refuser {
	if a.failure != nil || a.code/100 != 4 || a.code == http.StatusTooManyRequests || a.code == http.StatusConflict {
		return ""
	}
	if strings.HasPrefix(a.status.Message, "admission webhook \"") {
		if strings.Contains(a.status.Message, "denied the request") {
			return bailey.RefuserWebhook
		}
		return ""
	}
	_, cause, found := strings.Cut(a.status.Message, " is forbidden: ")
	begins := func(text string) bool { return found && strings.HasPrefix(cause, text) }
	switch {
	case begins("ValidatingAdmissionPolicy '") && strings.Contains(cause, "denied request"):
		return bailey.RefuserPolicy
	case a.code != http.StatusForbidden:
		return ""
	case begins("violates PodSecurity "):
		return bailey.RefuserPodSecurity
	case begins("exceeded quota: "), begins("failed quota: "):
		return bailey.RefuserQuota
	case begins("User \"") && strings.Contains(cause, " cannot "):
		return bailey.RefuserAuthorization
	}
	return ""
}

// ask makes the request of a step, always as a server-side dry-run.
func (p *Prober) ask(ctx context.Context, step bailey.Step) answer {
	body, err := json.Marshal(step.Object)
	if err != nil {
		return answer{failure: err}
	}
	method, path := http.MethodPost, resourcePath(step)
	if step.Verb == "update" {
		metadata, _ := step.Object["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		method, path = http.MethodPut, path+"/"+url.PathEscape(name)
	} else if step.Verb != "create" {
		return answer{failure: fmt.Errorf("a dry-run step creates or updates; it cannot %s", step.Verb)}
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(p.server, "/")+path+"?dryRun=All&fieldValidation=Strict", bytes.NewReader(body))
	if err != nil {
		return answer{failure: err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return answer{failure: err}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return answer{failure: err}
	}
	a := answer{code: response.StatusCode}
	if !a.accepted() && json.Unmarshal(data, &a.status) != nil {
		a.status.Message = "an answer that is not a Status"
	}
	return a
}

// resourcePath is the URL path of a step's collection.
func resourcePath(step bailey.Step) string {
	path := "/apis/" + step.APIVersion
	if !strings.Contains(step.APIVersion, "/") {
		path = "/api/" + step.APIVersion
	}
	if step.Namespace != "" {
		path += "/namespaces/" + url.PathEscape(step.Namespace)
	}
	return path + "/" + step.Resource
}
