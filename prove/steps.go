package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove/probe"
)

const (
	awaitLimit = 60 * time.Second
	pollEvery  = 250 * time.Millisecond
	// podLimit bounds a probe pod from its creation to its report; images may have
	// to be pulled.
	podLimit = 2 * time.Minute

	readyField = "status.containerStatuses.0.ready"
)

// do does one step, once. The step is expanded already.
func (r *run) do(ctx context.Context, danger bailey.Danger, step *bailey.Step) answer {
	if err := harmless(danger, step, r.id); err != nil {
		return answer{at: r.now().UTC(), failure: fmt.Errorf("not done: %w", err)}
	}
	if step.Task != nil || step.Etcd != nil { // what asks the API server waits there
		if err := r.clients.wait(ctx); err != nil {
			return answer{at: r.now().UTC(), failure: err}
		}
	}
	switch {
	case step.Request != nil:
		return r.request(ctx, step.Request)
	case step.Review != nil:
		return r.review(ctx, step.Review)
	case step.Task != nil && step.Task.In != nil:
		return r.pod(ctx, step.Task.In, []*bailey.Task{step.Task})[0]
	case step.Task != nil:
		return r.task(ctx, step.Task)
	case step.Forge != nil:
		return forge(step.Forge, r.now())
	case step.Await != nil:
		return r.await(ctx, step.Await)
	case step.Etcd != nil:
		return r.etcd(ctx, step.Etcd)
	case step.Origin != nil:
		return r.origin(ctx, step.Origin)
	}
	return answer{at: r.now().UTC(), failure: fmt.Errorf("a step that names no action")}
}

func (r *run) request(ctx context.Context, request *bailey.Request) answer {
	minted := request.Subresource == "token"
	if request.Verb != "create" || !request.Real || minted || enters(request) {
		return r.clients.do(ctx, request)
	}
	a := r.objects.create(ctx, request)
	if a.accepted && request.Resource == "namespaces" {
		// Pods are refused until the namespace has its ServiceAccount.
		name, _ := lookup(a.output, "metadata.name")
		text, _ := name.(string)
		ready := r.await(ctx, &bailey.Await{APIVersion: "v1", Resource: "serviceaccounts", Namespace: text, Name: "default", Field: "metadata.name", Values: []string{"default"}})
		if !ready.accepted {
			a.accepted, a.failure = false, fmt.Errorf("namespace %s has no ServiceAccount yet: %s", text, ready)
		}
	}
	return a
}

// review asks the authorizer; "no" is a refusal by it.
func (r *run) review(ctx context.Context, v *bailey.Review) answer {
	spec := map[string]any{"user": v.User}
	if len(v.Groups) > 0 {
		spec["groups"] = v.Groups
	}
	what := v.Path
	if v.Path != "" {
		spec["nonResourceAttributes"] = map[string]any{"path": v.Path, "verb": v.Verb}
	} else {
		what = v.Resource
		if v.Subresource != "" {
			what += "/" + v.Subresource
		}
		if v.Group != "" {
			what += "." + v.Group
		}
		spec["resourceAttributes"] = map[string]any{"verb": v.Verb, "group": v.Group, "version": "*", "resource": v.Resource,
			"subresource": v.Subresource, "namespace": v.Namespace, "name": v.Name}
	}
	a := r.clients.do(ctx, &bailey.Request{Verb: "create", APIVersion: "authorization.k8s.io/v1", Resource: "subjectaccessreviews", Real: true,
		Object: map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}})
	a.said = strings.TrimSpace(fmt.Sprintf("may %s %s %s %s?", v.User, v.Verb, what, v.Namespace))
	if a.failure != nil || !a.accepted {
		if a.failure == nil {
			a.failure = fmt.Errorf("the review was not answered: %s", a)
		}
		a.accepted, a.refuser = false, ""
		return a
	}
	allowed, _ := lookup(a.output, "status.allowed")
	reason, _ := lookup(a.output, "status.reason")
	if problem, _ := lookup(a.output, "status.evaluationError"); allowed != true && problem != nil && problem != "" {
		// An authorizer failed: that nobody else allowed it is no refusal. A role that is
		// named and not there is none of this: RBAC gives it as the reason of its "no".
		a.accepted, a.failure = false, fmt.Errorf("not every authorizer could answer: %v", problem)
		return a
	}
	if a.accepted = allowed == true; a.accepted {
		a.message = fmt.Sprintf("yes: %v", reason)
		return a
	}
	a.refuser, a.message = bailey.RefuserAuthorization, "no"
	return a
}

// task does a task where the prober is.
func (r *run) task(ctx context.Context, t *bailey.Task) answer {
	a := answer{at: r.now().UTC(), said: describeTask(t)}
	report := probe.Do(ctx, t)
	a.took = r.now().Sub(a.at)
	return a.take(report)
}

// take puts what a probe reported into an answer.
func (a answer) take(report probe.Report) answer {
	a.accepted, a.refuser, a.message = report.Accepted, report.Refuser, report.Message
	a.output = map[string]any{"kernel": report.Kernel}
	if report.Failed {
		a.accepted, a.failure = false, fmt.Errorf("%s", report.Message)
	}
	return a
}

func describeTask(t *bailey.Task) string {
	where := ""
	if t.In != nil {
		where = " in pod " + t.In.Namespace + "/" + t.In.Name
	}
	switch {
	case t.Dial != nil && t.Dial.HTTP != "":
		return "GET " + t.Dial.HTTP + " at " + t.Dial.Address + where
	case t.Dial != nil && t.Dial.Plain:
		return "OPTIONS * in plain text at " + t.Dial.Address + where
	case t.Dial != nil:
		return "connect to " + t.Dial.Address + where
	case t.Listen > 0:
		return fmt.Sprintf("listen on port %d%s", t.Listen, where)
	case t.Send != nil:
		return "send a marker to " + t.Send.To + where
	case t.Wire != nil:
		return "look for a marker in what leaves the node" + where
	case t.Export != nil && t.Export.Null:
		return "call NFS at " + t.Export.Server + where
	case t.Export != nil:
		return "list the export " + t.Export.Server + ":" + t.Export.Path + where
	case t.Syscall != "":
		return "system call " + t.Syscall + where
	}
	return "read the kernel's name" + where
}

// await asks for an object until it is as wanted.
func (r *run) await(ctx context.Context, w *bailey.Await) answer {
	limit := w.Timeout
	if limit <= 0 {
		limit = awaitLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request := &bailey.Request{Verb: "get", APIVersion: w.APIVersion, Resource: w.Resource, Namespace: w.Namespace, Name: w.Name, Content: w.Resource != "secrets"}
	var value any
	a, done := poll(ctx, limit, pollEvery, func() answer {
		a := r.clients.do(ctx, request)
		a.said = "await " + w.Resource + " " + w.Name
		return a
	}, func(a answer) bool {
		if w.Gone {
			return a.code == http.StatusNotFound
		}
		var found bool
		value, found = lookup(a.output, w.Field)
		return a.accepted && found && slices.Contains(w.Values, fmt.Sprint(value))
	})
	switch {
	case !done:
		a.accepted, a.failure = false, fmt.Errorf("%s %s: %s was not %s within %s; it is %v", w.Resource, w.Name, w.Field, strings.Join(w.Values, " or "), limit, value)
	case w.Gone:
		a.accepted, a.message = true, "gone"
	}
	return a
}

// pod runs tasks in a pod of their own, all at the same time, and removes it again
// unless it lives on. It gives an answer for each.
func (r *run) pod(ctx context.Context, in *bailey.ProbePod, tasks []*bailey.Task) []answer {
	all := make([]answer, len(tasks))
	each := func(do func(i int, a *answer)) []answer {
		for i := range all {
			do(i, &all[i])
			all[i].said = describeTask(tasks[i])
		}
		return all
	}
	agent, _ := ctx.Value(agentKey{}).(string)
	args := []any{"probe", "--agent=" + agent}
	for _, t := range tasks {
		bare := *t
		bare.In = nil
		data, err := json.Marshal(bare)
		if err != nil {
			return each(func(_ int, a *answer) { a.failure = err })
		}
		args = append(args, string(data))
	}
	if r.o.Image == "" {
		return each(func(_ int, a *answer) {
			a.at, a.failure = r.now().UTC(), fmt.Errorf("no probe image: name it by --probe-image")
		})
	}
	lives := tasks[0].Lives()
	name := in.Name
	if !lives { // one that lives on is known by its name; the others are made anew for each try
		name = fmt.Sprintf("%s-%d", in.Name, r.pods.Add(1))
	}
	object := podObject(in, name, r.o.Image, args)
	if port := tasks[0].Listen; port > 0 {
		readyOnceReached(object, port)
	}
	made := r.objects.create(ctx, &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: in.Namespace, Real: true, Object: object})
	if !made.accepted {
		if made.failure == nil {
			made.failure = fmt.Errorf("the probe pod was refused: %s", made)
			made.refuser = ""
		}
		return each(func(_ int, a *answer) { *a = made })
	}
	end := &bailey.Await{APIVersion: "v1", Resource: "pods", Namespace: in.Namespace, Name: name, Timeout: podLimit}
	if lives {
		end.Field, end.Values = readyField, []string{"true"}
		ready := r.await(ctx, end)
		return each(func(_ int, a *answer) { *a = ready })
	}
	end.Field, end.Values = "status.phase", []string{"Succeeded", "Failed"}
	ended := r.await(ctx, end)
	ended.at, ended.auditID = made.at, made.auditID
	var reports []probe.Report
	if ended.accepted {
		message, _ := lookup(ended.output, "status.containerStatuses.0.state.terminated.message")
		text, _ := message.(string)
		var err error
		if reports, err = probe.Read(text, len(tasks)); err != nil {
			ended.accepted, ended.failure = false, err
		}
	}
	if err := r.objects.discard(ctx, end.Resource, in.Namespace, name); err != nil && ended.failure == nil {
		ended.failure = err
	}
	return each(func(i int, a *answer) {
		*a = ended
		if ended.failure == nil {
			*a = ended.take(reports[i])
		}
	})
}

// listening fails unless all the listeners are ready, as their nodes see them.
func (r *run) listening(ctx context.Context, listeners []*bailey.ProbePod) error {
	for _, l := range listeners {
		a := r.clients.do(ctx, &bailey.Request{Verb: "get", APIVersion: "v1", Resource: "pods", Namespace: l.Namespace, Name: l.Name, Content: true})
		if ready, _ := lookup(a.output, readyField); ready != true {
			return fmt.Errorf("the listener %s/%s is not there any more: %s", l.Namespace, l.Name, a)
		}
	}
	return nil
}

// podObject is a probe pod that the restricted Pod Security Standard admits,
// unless the plan says otherwise.
func podObject(in *bailey.ProbePod, name, image string, args []any) map[string]any {
	labels := map[string]any{}
	for key, value := range in.Labels {
		labels[key] = value
	}
	small := func() map[string]any { return map[string]any{"cpu": "10m", "memory": "64Mi"} }
	container := map[string]any{
		"name": "probe", "image": image, "args": args,
		"resources":                map[string]any{"requests": small(), "limits": map[string]any{"cpu": "500m", "memory": "128Mi"}},
		"terminationMessagePolicy": "File",
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
			"capabilities": map[string]any{"drop": []any{"ALL"}},
		},
	}
	merge(container, in.Container)
	spec := map[string]any{
		"automountServiceAccountToken": false, "restartPolicy": "Never", "enableServiceLinks": false,
		"terminationGracePeriodSeconds": 1,
		"securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
			"seccompProfile": map[string]any{"type": "RuntimeDefault"}},
	}
	merge(spec, in.Spec)
	spec["containers"] = []any{container}
	return map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": in.Namespace, "labels": labels}, "spec": spec}
}

// readyOnceReached makes a listener ready once its node has connected to it.
func readyOnceReached(pod map[string]any, port int) {
	container := pod["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	container["readinessProbe"] = map[string]any{"tcpSocket": map[string]any{"port": port}, "periodSeconds": 1, "timeoutSeconds": 2}
}
