package prove

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/baileyhq/bailey"
)

// forbiddenDry are subresources that a dry-run does not hold back: a token is
// minted all the same, and a stream is opened.
var forbiddenDry = map[string]bool{"token": true, "exec": true, "attach": true, "portforward": true, "proxy": true}

// acts reports whether experiments of this danger do more than ask and try.
func acts(danger bailey.Danger) bool {
	return danger == bailey.DangerIsolated || danger == bailey.DangerDisruptive
}

// harmless checks, before a step is done, that it does no more than the
// experiment's danger allows. The plan's author may err; what this lets pass
// must be harmless whatever the plan says.
func harmless(danger bailey.Danger, step *bailey.Step, run string) error {
	switch {
	case step.Request != nil:
		return harmlessRequest(danger, step.Request, run)
	case step.Task != nil && step.Task.In != nil:
		if !acts(danger) {
			return fmt.Errorf("a probe pod is made by isolated experiments only, not by %s ones", danger)
		}
		if w := step.Task.Wire; w != nil && (run == "" || !strings.Contains(w.Marker, run)) {
			return fmt.Errorf("what leaves a node is read for a marker of the run's own only: it holds the run's id")
		}
		return own(run, step.Task.In.Namespace)
	case step.Task != nil && step.Task.Dial == nil:
		return fmt.Errorf("where the prober itself runs, a task may only dial")
	case step.Origin != nil:
		if !acts(danger) || step.Origin.Past && danger != bailey.DangerDisruptive {
			return fmt.Errorf("writing an object is isolated, and writing it to etcd disruptive; the experiment says %s", danger)
		}
		return own(run, step.Origin.Namespace)
	}
	return nil
}

func harmlessRequest(danger bailey.Danger, r *bailey.Request, run string) error {
	if r.Resource == "namespaces" && r.Namespace != "" {
		return fmt.Errorf("a namespace lies in no namespace: it is named by its name")
	}
	if r.Verb == "get" || r.Verb == "list" {
		if r.Path != "" && !isDiscovery(r.Path) {
			return fmt.Errorf("get %s asks for objects by their path: name the resource, so that only metadata is asked for", r.Path)
		}
		if forbiddenDry[r.Subresource] && !entersOwn(danger, r, run) {
			return fmt.Errorf("get %s/%s opens a stream: ask by SubjectAccessReview", r.Resource, r.Subresource)
		}
		if r.Content && r.Resource == "secrets" {
			return fmt.Errorf("the content of Secrets is never asked for")
		}
		return nil
	}
	if r.Path != "" {
		return fmt.Errorf("%s of the path %s cannot be a dry-run", r.Verb, r.Path)
	}
	if danger == bailey.DangerNone {
		return fmt.Errorf("%s %s is more than asking", r.Verb, r.Resource)
	}
	minted := r.Resource == "serviceaccounts" && r.Subresource == "token"
	if forbiddenDry[r.Subresource] && !minted && !entersOwn(danger, r, run) {
		return fmt.Errorf("%s/%s has no dry-run, and opens a stream", r.Resource, r.Subresource)
	}
	if !r.Real && !minted {
		if r.Verb == "delete" && r.Object != nil {
			return fmt.Errorf("delete %s with a body is no dry-run: the API server looks for dryRun in the body then", r.Resource)
		}
		return nil
	}
	if danger == bailey.DangerDryRun {
		return fmt.Errorf("%s %s is no dry-run", r.Verb, r.Resource)
	}
	if r.Resource == "validatingwebhookconfigurations" || r.Resource == "mutatingwebhookconfigurations" {
		if err := ownWebhooks(danger, r, run); err != nil {
			return err
		}
	}
	if r.Namespace != "" {
		return own(run, r.Namespace)
	}
	name := r.Name
	if r.Verb == "create" && r.Subresource == "" {
		metadata, _ := r.Object["metadata"].(map[string]any)
		name, _ = metadata["name"].(string)
		if r.Resource == "clusterrolebindings" && !strings.HasPrefix(roleOf(r.Object), bailey.ProbePrefix) {
			return fmt.Errorf("a ClusterRoleBinding of an experiment may grant only a ClusterRole of its own")
		}
	}
	return own(run, name)
}

// ownWebhooks checks that webhooks see nothing but what lies in one of the run's own
// namespaces. The namespaceSelector alone does not keep them from cluster-wide objects: these
// have no namespace to leave out.
func ownWebhooks(danger bailey.Danger, r *bailey.Request, run string) error {
	if danger != bailey.DangerDisruptive {
		return fmt.Errorf("%s are made by disruptive experiments only, not by %s ones", r.Resource, danger)
	}
	if r.Verb == "delete" {
		return nil
	}
	webhooks, _ := r.Object["webhooks"].([]any)
	if r.Verb != "create" || len(webhooks) == 0 {
		return fmt.Errorf("%s are made whole and never changed, so that it can be told what they see", r.Resource)
	}
	for _, w := range webhooks {
		webhook, _ := w.(map[string]any)
		namespace, _ := lookup(webhook, `namespaceSelector.matchLabels.kubernetes\.io/metadata\.name`)
		name, _ := namespace.(string)
		if err := own(run, name); err != nil {
			return fmt.Errorf("a webhook must see namespaces of the run's own only, by the label kubernetes.io/metadata.name: %w", err)
		}
		rules, _ := webhook["rules"].([]any)
		for _, each := range rules {
			rule, _ := each.(map[string]any)
			if rule["scope"] != "Namespaced" {
				return fmt.Errorf("a webhook of the run's own must have rules of the scope Namespaced: no selector leaves out cluster-wide objects")
			}
		}
	}
	return nil
}

// entersOwn reports whether an isolated experiment enters a pod, or the pods of a
// Service, in a namespace of its own.
func entersOwn(danger bailey.Danger, r *bailey.Request, run string) bool {
	return acts(danger) && r.Real && enters(r) && own(run, r.Namespace) == nil
}

// enters reports whether a request opens a stream into a pod.
func enters(r *bailey.Request) bool {
	switch r.Resource + "/" + r.Subresource {
	case "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy":
		return true
	}
	return false
}

// entersNobody reports whether the API server answers an entering that it let pass, but
// that leads nowhere: the pod has no node or no address, the Service no pods.
func entersNobody(r *bailey.Request, code int, message string) bool {
	if !enters(r) {
		return false
	}
	switch {
	case r.Resource == "services":
		return code == http.StatusServiceUnavailable && strings.HasPrefix(message, "no endpoints available for service ")
	case r.Subresource == "proxy":
		return code == http.StatusBadRequest && message == "address not allowed"
	}
	return code == http.StatusBadRequest && strings.HasSuffix(message, "does not have a host assigned")
}

// isDiscovery reports whether a path is none of an object: what lies under /api and
// /apis is objects from the version on.
func isDiscovery(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch parts[0] {
	case "api":
		return len(parts) <= 2
	case "apis":
		return len(parts) <= 3
	}
	return true
}

func roleOf(binding map[string]any) string {
	ref, _ := binding["roleRef"].(map[string]any)
	name, _ := ref["name"].(string)
	return name
}

// own checks that a name is one of this run's.
func own(run, name string) error {
	if run == "" || !strings.HasPrefix(name, bailey.ProbePrefix+run) {
		return fmt.Errorf("%q is not the run's own: names begin with %s%s", name, bailey.ProbePrefix, run)
	}
	return nil
}
