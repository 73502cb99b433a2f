package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// world is a server over a real cluster.
type world struct {
	cluster *devcluster.Cluster
	loop    *Loop
	news    *News
	desk    *Desk
	api     *API
	url     string
}

func startWorld(t *testing.T) *world {
	t.Helper()
	c, rights, tokens := askShared(t)
	kept := openStore(t)
	w := &world{cluster: c, news: NewNews()}
	log := slog.New(slog.DiscardHandler)
	w.loop = NewLoop(LoopOptions{Controls: controls.All(), Weigher: stakes.Weigher, Log: log,
		Source: func(ctx context.Context, f kube.Follower) error {
			return kube.Follow(ctx, kube.FollowOptions{Options: kube.Options{Kubeconfig: c.Kubeconfig}}, f)
		},
		Accepted: func(ctx context.Context, uid string, _ time.Time) (Accepted, error) {
			waivers, err := w.desk.InForce(ctx, uid)
			return Accepted{Waivers: waivers}, err
		}}, w.news)
	w.desk = NewDesk(DeskOptions{Store: kept, Controls: controls.All(), Own: w.loop.Cluster, Sight: w.loop.Sight, Namespaces: w.loop.Namespaces,
		Configured: func() []bailey.Waiver { return nil }, Valid: func(w bailey.Waiver) error { return check.ValidateWaiver(w, controls.All()) },
		Changed: w.loop.Refresh, Log: log, Now: time.Now})
	w.api = &API{Version: "test", Desk: w.desk, Rights: rights, News: w.news, Log: log}
	w.api.Proposer = NewProposer(ProposerOptions{Rate: 200, Snapshot: w.loop.Snapshot, Controls: controls.All(), Evidence: func(context.Context) ([]bailey.Evidence, error) { return nil, nil }, Now: time.Now})
	dir, identities := newLedger(t)
	w.api.Book = openBook(t, dir, identities)
	t.Cleanup(func() { closeBook(t, w.api.Book) })
	front := &Front{Sessions: &Sessions{Now: time.Now}, Tokens: tokens, Log: log, Now: time.Now}
	s := httptest.NewServer(front.Wrap(w.api.Handler()))
	t.Cleanup(s.Close)
	w.url = s.URL
	ctx, cancel := context.WithCancel(t.Context())
	recorder := &Recorder{Store: kept, Loop: w.loop, News: w.news, Log: log, Now: time.Now, Raiser: &Raiser{Store: kept, Loop: w.loop, News: w.news, Log: log, Now: time.Now}}
	done := make(chan struct{}, 2)
	go func() { _ = w.loop.Run(ctx); done <- struct{}{} }()
	go func() { _ = recorder.Run(ctx); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	awaitNews(t, w.news, 0, func(i Item) bool { return i.Kind == NewsKept })
	return w
}

// token makes a ServiceAccount and gives a token of it.
func (w *world) token(t *testing.T, namespace, name string) string {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts"
	w.post(t, path, map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name}})
	var answer struct{ Status struct{ Token string } }
	body := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"audiences": []any{Audience}}}
	if err := w.cluster.Do(t.Context(), http.MethodPost, path+"/"+name+"/token", body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func (w *world) post(t *testing.T, path string, object map[string]any) {
	t.Helper()
	if err := w.cluster.Do(t.Context(), http.MethodPost, path, object, nil); err != nil {
		t.Fatal(err)
	}
}

// grant lets a ServiceAccount do a verb on Bailey's resources, in a namespace or everywhere.
func (w *world) grant(t *testing.T, namespace, account, in string, rules ...map[string]any) {
	t.Helper()
	name := "bailey-" + namespace + "-" + account
	subjects := []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": account}}
	list := make([]any, len(rules))
	for i, r := range rules {
		list[i] = r
	}
	path, kind := "/apis/rbac.authorization.k8s.io/v1/", "ClusterRole"
	if in != "" {
		path, kind = path+"namespaces/"+in+"/", "Role"
	}
	plural := strings.ToLower(kind)
	w.post(t, path+plural+"s", map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": name}, "rules": list})
	w.post(t, path+plural+"bindings", map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind + "Binding", "metadata": map[string]any{"name": name},
		"subjects": subjects, "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}})
	// The API server's authorizer learns of a grant a moment later.
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
		"user":               "system:serviceaccount:" + namespace + ":" + account,
		"resourceAttributes": map[string]any{"group": Group, "resource": rules[0]["resources"].([]any)[0], "verb": rules[0]["verbs"].([]any)[0], "namespace": in}}}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var answer struct{ Status struct{ Allowed bool } }
		if err := w.cluster.Do(t.Context(), http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the grant does not come into force")
		}
	}
	if in == "" {
		t.Cleanup(func() {
			for _, what := range []string{"clusterroles/", "clusterrolebindings/"} {
				_ = w.cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, path+what+name, nil, nil)
			}
		})
	}
}

func baileyRule(verb, resource string) map[string]any {
	return map[string]any{"apiGroups": []any{Group}, "resources": []any{resource}, "verbs": []any{verb}}
}

// ask sends a request and gives status and body.
func (w *world) ask(t *testing.T, token, method, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data), answer.Header
}

// reads lists a path for every reading endpoint of the OpenAPI document, so that none is
// forgotten.
func (w *world) reads(t *testing.T, namespace, finding string) []string {
	t.Helper()
	spec, err := w.api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(spec, &document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Fatalf("OpenAPI %q: %v", document.OpenAPI, err)
	}
	experiment := ""
	for _, c := range controls.All() {
		for _, x := range c.Experiments {
			experiment = c.ID + "/" + x.Name
		}
	}
	fill := strings.NewReplacer("/findings/{id}", "/findings/"+finding, "/runs/{id}", "/runs/none", "/controls/{area}/{name}", "/controls/compute/pod-security",
		"/guards/{area}/{name}/{guard}", "/guards/compute/pod-security/enforce-restricted", "/experiments/{area}/{name}/{experiment}", "/experiments/"+experiment, "{id}", "none", "{tile}", "0/000.p/1")
	query := map[string]string{"/api/v1/workload": "?kind=Pod&name=bad&namespace=" + namespace, "/api/v1/search": "?text=bad"}
	var paths []string
	for path, methods := range document.Paths {
		if _, reads := methods["get"]; reads && path != "/api/v1/report" && path != "/api/v1/events" { // no report is made here, and the stream has no end
			paths = append(paths, fill.Replace(path)+query[path])
		}
	}
	if len(paths) < 15 {
		t.Fatalf("only %d endpoints read: %q", len(paths), paths)
	}
	return paths
}

// TestWhoSeesWhat: nobody, a stranger, a tenant and an administrator each see exactly what
// they may, endpoint by endpoint.
func TestWhoSeesWhat(t *testing.T) {
	w := startWorld(t)
	mine, theirs := devclustertest.Namespace(t, nil), devclustertest.Namespace(t, nil)
	everything := Ask{Sees: Namespaces{All: true}}
	await(t, "the namespaces are judged", patience, func() bool { // what is there from the first on has not fallen
		rows, _, err := w.desk.NamespaceRows(t.Context(), everything, NamespaceFilter{})
		have := func(name string) bool {
			return slices.ContainsFunc(rows, func(r NamespaceRow) bool { return r.Name == name && len(r.Controls) > 0 })
		}
		return err == nil && have(mine) && have(theirs)
	})
	before := w.news.Last()
	for _, ns := range []string{mine, theirs} {
		w.post(t, "/api/v1/namespaces/"+ns+"/pods", map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "bad"},
			"spec": map[string]any{"hostNetwork": true, "containers": []any{map[string]any{"name": "c", "image": "x"}}}})
	}
	stranger, tenant, admin := w.token(t, mine, "stranger"), w.token(t, mine, "tenant"), w.token(t, mine, "admin")
	reader := w.token(t, mine, "reader")
	w.grant(t, mine, "reader", "", baileyRule("get", "reports"))
	w.grant(t, mine, "tenant", mine, baileyRule("get", "reports"))
	w.grant(t, mine, "admin", "", baileyRule("get", "reports"), baileyRule("create", "waivers"), baileyRule("get", "ledgers"), baileyRule("get", "guards"))

	ref := bailey.Ref{Kind: bailey.KindPod, Namespace: theirs, Name: "bad"}
	id := ""
	for end := time.Now().Add(patience); id == ""; {
		found, err := w.desk.Findings(t.Context(), everything, FindingFilter{Namespace: ref.Namespace, Name: ref.Name})
		if err == nil && len(found.Findings) > 0 {
			id = found.Findings[0].ID
		}
		if time.Now().After(end) {
			t.Fatal("the pod is not found")
		}
		_, _, more := w.news.After(before)
		select {
		case <-more:
		case <-time.After(time.Second):
		}
	}
	for _, path := range w.reads(t, theirs, id) {
		t.Run(strings.TrimPrefix(path, "/api/v1/"), func(t *testing.T) {
			if code, _, _ := w.ask(t, "", http.MethodGet, path, ""); code != http.StatusUnauthorized {
				t.Errorf("nobody gets %d", code)
			}
			if code, _, _ := w.ask(t, "no-token", http.MethodGet, path, ""); code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
				t.Errorf("a false token gets %d", code)
			}
			if code, body, _ := w.ask(t, stranger, http.MethodGet, path, ""); code != http.StatusForbidden {
				t.Errorf("a stranger gets %d: %.200s", code, body)
			}
			code, body, _ := w.ask(t, tenant, http.MethodGet, path, "")
			if path == "/api/v1/actions" || strings.HasSuffix(path, "/plan") { // they tell of the whole cluster
				if code != http.StatusForbidden {
					t.Errorf("a tenant gets %d: %.2000s", code, body)
				}
			} else if strings.HasPrefix(path, "/api/v1/ledger/") || strings.HasPrefix(path, "/api/v1/guards") {
				if code != http.StatusForbidden {
					t.Errorf("a tenant gets %d: %.2000s", code, body)
				}
				if code, body, _ := w.ask(t, reader, http.MethodGet, path, ""); code != http.StatusForbidden {
					t.Errorf("who may read reports only gets %d: %.300s", code, body)
				}
			} else if code != http.StatusOK && code != http.StatusNotFound || strings.Contains(body, theirs) {
				t.Errorf("a tenant gets %d: %.2000s", code, body)
			}
			code, body, _ = w.ask(t, admin, http.MethodGet, path, "")
			if code != http.StatusOK && !strings.HasSuffix(path, "/none") {
				t.Errorf("an administrator gets %d: %.300s", code, body)
			}
		})
	}
	for path, want := range map[string]string{"/api/v1/findings?namespace=" + mine: mine, "/api/v1/namespaces": mine} {
		if _, body, _ := w.ask(t, tenant, http.MethodGet, path, ""); !strings.Contains(body, want) {
			t.Errorf("%s does not show the tenant their own: %.300s", path, body)
		}
	}
	// The pods are news: each namespace's tenants are told of their own.
	for token, want := range map[string][2]bool{tenant: {true, false}, admin: {true, true}} {
		if _, body, _ := w.ask(t, token, http.MethodGet, "/api/v1/alerts", ""); strings.Contains(body, mine) != want[0] || strings.Contains(body, theirs) != want[1] {
			t.Errorf("alerts: %.2000s", body)
		}
	}
	if code, _, _ := w.ask(t, tenant, http.MethodGet, "/api/v1/report", ""); code != http.StatusForbidden {
		t.Errorf("a tenant gets the whole report: %d", code)
	}

	waiver := fmt.Sprintf(`{"rule":"compute/pod-security/host-namespaces","namespace":%q,"reason":"a test","owner":"me","expires":%q}`, theirs, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for name, token := range map[string]string{"nobody": "", "a stranger": stranger, "a tenant": tenant} {
		if code, body, _ := w.ask(t, token, http.MethodPost, "/api/v1/waivers", waiver); code != http.StatusUnauthorized && code != http.StatusForbidden {
			t.Errorf("%s adds a waiver: %d %s", name, code, body)
		}
		for path, body := range map[string]string{"/api/v1/runs": `{"controls":[]}`, "/api/v1/runs/none/stop": ""} {
			if code, _, _ := w.ask(t, token, http.MethodPost, path, body); code != http.StatusUnauthorized && code != http.StatusForbidden {
				t.Errorf("%s runs or stops experiments: %d", name, code)
			}
		}
	}
	code, body, _ := w.ask(t, admin, http.MethodPost, "/api/v1/waivers", waiver)
	if code != http.StatusCreated {
		t.Fatalf("an administrator's waiver: %d %s", code, body)
	}
	if code, body, _ := w.ask(t, admin, http.MethodPost, "/api/v1/waivers", strings.Replace(waiver, "a test", "", 1)); code != http.StatusUnprocessableEntity {
		t.Errorf("a waiver without a reason: %d %s", code, body)
	}
	w.awaitFindings(t, "the waiver takes findings in", FindingFilter{Namespace: theirs, State: "waived"}, func(p FindingPage) bool { return len(p.Findings) > 0 })
	object, err := w.desk.Workload(t.Context(), everything, ref)
	if n := len(object.Findings); err != nil || n < 2 || object.Findings[0].Waiver != nil || object.Findings[n-1].Waiver == nil || object.Counts.Total() >= n {
		t.Errorf("what is waived does not stand apart: %v, %+v", err, object)
	}
	await(t, "the namespace's alert is there", patience, func() bool {
		o, err := w.desk.Workload(t.Context(), everything, ref)
		return err == nil && slices.ContainsFunc(o.Alerts, func(a Alert) bool { return a.Object != nil && a.Object.Name == theirs })
	})
	command := strings.Fields(object.Command)
	if len(command) < 2 {
		t.Fatalf("the command is %q", object.Command)
	}
	if shown, err := w.cluster.Kubectl(t.Context(), command[1:]...); err != nil || !strings.Contains(string(shown), "name: bad") {
		t.Errorf("%s: %v", object.Command, err)
	}
	var made made
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	extend := "/api/v1/waivers/" + url.PathEscape(made.ID) + "/extend"
	longer := fmt.Sprintf(`{"reason":"not delivered yet","expires":%q}`, time.Now().Add(100*24*time.Hour).UTC().Format(time.RFC3339))
	for _, token := range []string{"", stranger, tenant} {
		if code, body, _ := w.ask(t, token, http.MethodPost, extend, longer); code != http.StatusUnauthorized && code != http.StatusForbidden {
			t.Errorf("a waiver is extended without a right: %d %s", code, body)
		}
	}
	for path, body := range map[string]string{extend: strings.Replace(longer, "20", "19", 1), extend + "?": strings.Replace(longer, "not delivered yet", "", 1)} {
		if code, answer, _ := w.ask(t, admin, http.MethodPost, path, body); code != http.StatusUnprocessableEntity {
			t.Errorf("extended by %s: %d %s", body, code, answer)
		}
	}
	if code, body, _ := w.ask(t, admin, http.MethodPost, extend, longer); code != http.StatusNoContent {
		t.Fatalf("extend the waiver: %d %s", code, body)
	}
	for query, want := range map[string]bool{"?state=active&control=compute/pod-security&owner=ME": true, "?text=a+test+" + theirs: true, "?state=expiring": false, "?state=ended": false, "?control=network/policy": false, "?owner=eve": false} {
		if code, body, _ := w.ask(t, admin, http.MethodGet, "/api/v1/waivers"+query, ""); code != http.StatusOK || strings.Contains(body, made.ID) != want || want && !strings.Contains(body, `"reason":"not delivered yet"`) {
			t.Errorf("waivers%s: %d %.2000s", query, code, body)
		}
	}
	w.awaitFindings(t, "the longer waiver takes findings in", FindingFilter{Namespace: theirs, State: "waived"}, func(p FindingPage) bool {
		return len(p.Findings) > 0 && time.Until(p.Findings[0].Waiver.Expires) > 90*24*time.Hour
	})
	for query, want := range map[string]bool{"?state=open&kind=finding&severity=high&control=compute/pod-security&order=severity&namespace=" + theirs: true, "?text=" + theirs: true, "?kind=rung&text=" + theirs + "+nothing": false,
		"?state=over&text=nothing": false, "?namespace=" + mine: false, "?control=compute/pod": false} {
		if code, body, _ := w.ask(t, admin, http.MethodGet, "/api/v1/alerts"+query, ""); code != http.StatusOK || strings.Contains(body, theirs) != want {
			t.Errorf("alerts%s: %d %.2000s", query, code, body)
		}
	}
	// Search finds both, for who may see them.
	for token, want := range map[string]bool{admin: true, tenant: false} {
		if code, body, _ := w.ask(t, token, http.MethodGet, "/api/v1/search?text="+theirs, ""); code != http.StatusOK || strings.Contains(body, `"kind":"waiver"`) != want || strings.Contains(body, `"kind":"alert"`) != want {
			t.Errorf("search: %d %.2000s", code, body)
		}
	}
	if code, body, _ := w.ask(t, admin, http.MethodDelete, "/api/v1/waivers/"+url.PathEscape(made.ID), ""); code != http.StatusNoContent {
		t.Fatalf("end the waiver: %d %s", code, body)
	}
	w.awaitFindings(t, "the waiver's end lets them go", FindingFilter{Namespace: theirs, State: "waived"}, func(p FindingPage) bool { return len(p.Findings) == 0 })

	// Who did that, and who was refused it, is kept, and shown to who sees everything.
	past := strings.Replace(waiver, time.Now().UTC().Format("2006"), "2020", 1)
	if code, body, _ := w.ask(t, admin, http.MethodPost, "/api/v1/waivers", past); code != http.StatusUnprocessableEntity {
		t.Errorf("a waiver that has ended: %d %s", code, body)
	}
	code, body, _ = w.ask(t, reader, http.MethodGet, "/api/v1/actions?limit=1000", "")
	var acts struct{ Items []Action }
	if err := json.Unmarshal([]byte(body), &acts); code != http.StatusOK || err != nil {
		t.Fatalf("%d %v: %.300s", code, err, body)
	}
	account := "system:serviceaccount:" + mine + ":"
	for _, want := range []Action{
		{Who: account + "admin", Action: ActAddWaiver, Target: made.ID + ": compute/pod-security/host-namespaces " + theirs, Outcome: "done"},
		{Who: account + "admin", Action: ActEndWaiver, Target: made.ID, Outcome: "done"},
		{Who: account + "tenant", Action: ActExtendWaiver, Target: made.ID, Outcome: "refused", Why: "no right to it"},
		{Who: account + "admin", Action: ActAddWaiver, Target: "compute/pod-security/host-namespaces " + theirs, Outcome: "refused", Why: "the waiver's end is past"},
		{Who: account + "tenant", Action: ActAddWaiver, Target: "compute/pod-security/host-namespaces", Outcome: "refused", Why: "no right to it"},
		{Who: account + "tenant", Action: ActOrderRun, Target: "all controls", Outcome: "refused", Why: "no right to it"},
		{Who: account + "tenant", Action: ActStopRun, Target: "none", Outcome: "refused", Why: "no right to it"},
		{Who: account + "stranger", Action: ActOrderRun, Target: "all controls", Outcome: "refused", Why: "no right to it"},
	} {
		if !slices.ContainsFunc(acts.Items, func(a Action) bool {
			recent := time.Since(a.At) < time.Hour
			a.At = time.Time{}
			return recent && a == want
		}) {
			t.Errorf("%+v is not kept: %.3000s", want, body)
		}
	}
	if len(acts.Items) > 0 && acts.Items[0].Why != "the waiver's end is past" {
		t.Errorf("the newest does not come first: %+v", acts.Items[0])
	}
	if _, body, _ := w.ask(t, reader, http.MethodGet, "/api/v1/actions?action=stop+run&who="+url.QueryEscape(account+"tenant"), ""); strings.Count(body, `"who"`) != 1 {
		t.Errorf("filtered: %s", body)
	}
}

func (w *world) awaitFindings(t *testing.T, what string, f FindingFilter, there func(FindingPage) bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		_, _, more := w.news.After(w.news.Last())
		page, err := w.desk.Findings(t.Context(), Ask{Sees: Namespaces{All: true}}, f)
		if err != nil {
			t.Fatal(err)
		}
		if there(page) {
			return
		}
		select {
		case <-more:
		case <-time.After(time.Until(end)):
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// TestAnswers: endpoints say what the report says, an answer that the asker has is not sent
// again, what is not known is refused, and a page's cursor goes on.
func TestAnswers(t *testing.T) {
	w := startWorld(t)
	ns := devclustertest.Namespace(t, nil)
	admin := w.token(t, ns, "admin")
	w.grant(t, ns, "admin", "", baileyRule("get", "reports"))
	_, body, header := w.ask(t, admin, http.MethodGet, "/api/v1/overview", "")
	var o Overview
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		t.Fatal(err)
	}
	standing := 0
	for _, lane := range o.Lanes {
		standing += len(lane.Standings)
	}
	if standing != len(controls.All()) || standing != 46 {
		t.Errorf("the overview shows %d controls", standing)
	}
	tag := header.Get("ETag")
	if code, _, _ := w.ask(t, admin, http.MethodGet, "/api/v1/controls/compute/pod-security", ""); code != http.StatusOK || tag == "" {
		t.Errorf("%d, tag %q", code, tag)
	}
	code, _, header := w.ask(t, admin, http.MethodGet, "/api/v1/experiments", "")
	if again, body, _ := w.ask(t, admin, http.MethodGet, "/api/v1/experiments", "", "If-None-Match", header.Get("ETag")); code != http.StatusOK || again != http.StatusNotModified || body != "" {
		t.Errorf("%d, then %d", code, again)
	}
	for path, want := range map[string]int{"/api/v1/findings?no=1": 422, "/api/v1/findings?severity=worst": 422, "/api/v1/findings?cursor=x": 422, "/api/v1/nothing": 404,
		"/api/v1/controls/no/such": 404, "/api/v1/findings/none": 404, "/api/v1/overview?cluster=other": 403} {
		if code, body, _ := w.ask(t, admin, http.MethodGet, path, ""); code != want {
			t.Errorf("%s: %d: %.300s", path, code, body)
		}
	}
	ids := map[string]bool{}
	for path := "/api/v1/findings?limit=7&state=all"; ; {
		_, body, _ := w.ask(t, admin, http.MethodGet, path, "")
		var page FindingPage
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatalf("%v: %.300s", err, body)
		}
		for _, f := range page.Findings {
			if ids[f.ID] {
				t.Fatalf("%s comes twice", f.ID)
			}
			ids[f.ID] = true
		}
		if page.Next == "" {
			break
		}
		path = "/api/v1/findings?limit=7&state=all&cursor=" + url.QueryEscape(page.Next)
	}
	r := w.loop.Join(t.Context())
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Object.Namespace == "kube-system" && !ids[f.ID] {
			t.Errorf("the endpoint lacks %s of %s", f.Rule, f.Object)
		}
	}
}
