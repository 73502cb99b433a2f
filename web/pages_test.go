package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// TestHostileTextStaysText reads every page and finds no element nor attribute that text of the
// fixture made, and nothing inline that the Content-Security-Policy would refuse.
func TestHostileTextStaysText(t *testing.T) {
	f := newFixture()
	f.many = true
	for _, p := range places(f) {
		if p.person != "" || p.world != nil {
			continue
		}
		d := start(t, f, "admin", nil)
		path := p.path
		if strings.Contains(path, "?") {
			path += "&"
		} else {
			path += "?"
		}
		_, text := d.get(t, path+"at="+url.QueryEscape(hostile)+"&entry="+url.QueryEscape(hostile))
		checkMarkup(t, p.name, text)
	}
	d := start(t, f, "admin", nil)
	for _, path := range []string{"/search?q=", "/findings?q=", "/findings?control=", "/findings?severity=", "/workloads?q=", "/namespaces?q=", "/experiments?q=", "/waivers/new?rule=", "/changes?since=", "/changes?q=", "/controls/compute/pod-security/scopes?q=", "/enforce?stage=", "/enforce?q=", "/login?next=", "/?cluster="} {
		_, text := d.get(t, path+url.QueryEscape(hostile))
		checkMarkup(t, path, text)
	}
}

// checkMarkup walks the elements of a page.
func checkMarkup(t *testing.T, name, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "img", "iframe", "object", "embed", "style":
			t.Errorf("%s: an element %s", name, n.Data)
		case "script":
			if n.FirstChild != nil {
				t.Errorf("%s: an inline script: %.80s", name, n.FirstChild.Data)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(strings.TrimSpace(strings.ToLower(a.Val)), "javascript") {
				t.Errorf("%s: <%s %s=%q>", name, n.Data, a.Key, a.Val)
			}
		}
	}
}

// TestWhoSeesWhat holds each page to what a tenant and a stranger may see.
func TestWhoSeesWhat(t *testing.T) {
	f := newFixture()
	// The pages of which the fixture itself leaves out what may not be seen.
	filtered := map[string]bool{"findings": true, "workloads": true, "namespaces": true, "search": true, "finding": true, "object": true}
	tenant, stranger, nobody := start(t, f, "tenant", nil), start(t, f, "stranger", nil), start(t, f, "", nil)
	for _, p := range places(f) {
		if p.person != "" || p.world != nil || p.refused {
			continue
		}
		if status, text := tenant.get(t, p.path); status == http.StatusOK {
			for _, foreign := range []string{"kube-system/", "data-platform/", "team-dill-06/", "system:controller"} {
				if filtered[p.name] && strings.Contains(text, ">"+foreign) {
					t.Errorf("a tenant sees %s at %s", foreign, p.path)
				}
			}
			for _, act := range []string{`method="post" action="/runs"`, `href="/waivers/new`, `/end"`, `/extend"`} {
				if strings.Contains(text, act) {
					t.Errorf("a tenant is offered %s at %s", act, p.path)
				}
			}
		}
		if status, _ := stranger.get(t, p.path); status != http.StatusForbidden {
			t.Errorf("a stranger gets %d at %s", status, p.path)
		}
		if status, _ := nobody.get(t, p.path); status != http.StatusSeeOther {
			t.Errorf("nobody gets %d at %s", status, p.path)
		}
	}
	for path, form := range map[string]url.Values{"/waivers": {"rule": {"compute/pod-security"}, "reason": {"r"}, "owner": {"o"}, "expires": {"2027-01-01"}}, "/waivers/1/extend": {"reason": {"r"}, "expires": {"2027-06-01"}}, "/waivers/1/end": {}, "/runs/run-1/stop": {}, "/runs": {"control": {"network/policy"}}} {
		for name, d := range map[string]*dashboard{"tenant": tenant, "stranger": stranger} {
			answer, err := d.client().PostForm(d.url+path, form)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("a %s gets %s at POST %s", name, answer.Status, path)
			}
		}
	}
	if status, _ := tenant.get(t, "/activity"); status != http.StatusForbidden {
		t.Errorf("a tenant sees what others did: %d", status)
	}
	if _, text := tenant.get(t, "/findings"); strings.Contains(text, `href="/activity"`) {
		t.Error("a tenant is led to what others did")
	}
	if len(f.refused) != 10 || !slices.ContainsFunc(f.refused, func(a server.Action) bool {
		return a.Who == people["tenant"].Name && a.Action == server.ActOrderRun && a.Target == "network/policy"
	}) || !slices.ContainsFunc(f.refused, func(a server.Action) bool {
		return a.Who == people["stranger"].Name && a.Action == server.ActEndWaiver && a.Target == "1"
	}) {
		t.Errorf("what was refused is kept as %+v", f.refused)
	}
	if len(tenant.runs)+len(stranger.runs) > 0 || len(f.waivers) != 4 || f.waivers[0].RemovedAt != nil || f.waivers[0].Extended != nil {
		t.Error("something was done for who may not")
	}
	if status, _ := tenant.get(t, "/waivers/new"); status != http.StatusForbidden {
		t.Errorf("a tenant gets the form: %d", status)
	}
}

// TestWhoSeesOne: who may see one cluster, and not the server's own, is led to it from every page that
// names none, and reads of no other.
func TestWhoSeesOne(t *testing.T) {
	f := newFixture()
	f.many = true
	d := start(t, f, "guest", nil)
	for _, path := range []string{"/", "/findings", "/workloads", "/namespaces", "/waivers", "/?cluster=spoke-1", "/search?q=web"} {
		status, text := d.get(t, path)
		if status != http.StatusOK || !strings.Contains(text, "factory-floor") || !strings.Contains(text, "/findings?cluster=spoke-1") {
			t.Errorf("%d at %s, which does not lead to the cluster", status, path)
		}
		for _, foreign := range []string{"prod-eu-west-1", ownUID, "spoke-2"} {
			if strings.Contains(text, foreign) {
				t.Errorf("%s names %s", path, foreign)
			}
		}
	}
	for _, path := range []string{"/?cluster=" + ownUID, "/?cluster=spoke-2", "/?cluster=none", "/findings?cluster=spoke-2"} {
		if status, text := d.get(t, path); status != http.StatusForbidden || strings.Contains(text, "prod-eu-west-1") {
			t.Errorf("%d at %s", status, path)
		}
	}
}

// TestUncounted says so where there are more findings than were counted.
func TestUncounted(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	if _, text := d.get(t, "/findings?q=web"); strings.Contains(text, "at least") {
		t.Error("all were counted")
	}
	f.more = true
	if _, text := d.get(t, "/findings?q=web"); strings.Count(text, "at least") != 2 {
		t.Error("a part is shown as if it were all")
	}
}

// TestActs adds and ends a waiver and begins a run, and refuses forms of other sites.
func TestActs(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	post := func(path string, form url.Values, site string) *http.Response {
		r, _ := http.NewRequest(http.MethodPost, d.url+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
		answer, err := d.client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	good := url.Values{"rule": {"compute/pod-security/*"}, "namespace": {"shop"}, "reason": {"Bought, not delivered"}, "owner": {"platform"}, "expires": {"2027-01-15"}}
	if a := post("/waivers", good, "cross-site"); a.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form: %s", a.Status)
	}
	bad := url.Values{"rule": {"no/such"}, "reason": {" "}, "owner": {""}, "expires": {"2020-01-01"}}
	a := post("/waivers", bad, "same-origin")
	text, _ := io.ReadAll(a.Body)
	if a.StatusCode != http.StatusUnprocessableEntity || strings.Count(string(text), `class="problem"`) != 4 || !strings.Contains(string(text), `value="no/such"`) {
		t.Errorf("a bad waiver: %s, %d problems", a.Status, strings.Count(string(text), `class="problem"`))
	}
	if len(f.waivers) != 4 {
		t.Fatal("a bad waiver was added")
	}
	if a := post("/waivers", good, "same-origin"); a.StatusCode != http.StatusSeeOther || len(f.waivers) != 5 || f.waivers[4].AddedBy != people["admin"].Name || f.waivers[4].Namespace != "shop" {
		t.Errorf("a good waiver: %s, %+v", a.Status, f.waivers)
	}
	end := f.waivers[0].Expires
	for _, form := range []url.Values{{"expires": {"2027-09-01"}}, {"reason": {"r"}, "expires": {end.Format(time.DateOnly)}}, {"reason": {"r"}, "expires": {"some day"}}} {
		if a := post("/waivers/1/extend", form, "same-origin"); a.StatusCode != http.StatusUnprocessableEntity || !f.waivers[0].Expires.Equal(end) {
			t.Errorf("extended by %v: %s", form, a.Status)
		}
	}
	longer := url.Values{"reason": {"not delivered yet"}, "expires": {"2027-09-01"}}
	if a := post("/waivers/1/extend", longer, "cross-site"); a.StatusCode != http.StatusForbidden {
		t.Errorf("extended from another site: %s", a.Status)
	}
	if a := post("/waivers/1/extend", longer, "same-origin"); a.StatusCode != http.StatusSeeOther || f.waivers[0].Expires.Format(time.DateOnly) != "2027-09-01" || f.waivers[0].Extended[0].By != people["admin"].Name {
		t.Errorf("extending one: %s, %+v", a.Status, f.waivers[0])
	}
	for _, id := range []string{"3", "4", "99"} { // of the configuration, ended, none
		if a := post("/waivers/"+id+"/extend", longer, "same-origin"); a.StatusCode != http.StatusNotFound {
			t.Errorf("extending %s: %s", id, a.Status)
		}
	}
	if a := post("/waivers/1/end", nil, "same-origin"); a.StatusCode != http.StatusSeeOther || f.waivers[0].RemovedBy != people["admin"].Name {
		t.Errorf("ending one: %s, %+v", a.Status, f.waivers[0])
	}
	if a := post("/runs", url.Values{"control": {"network/policy"}, "isolated": {"yes"}}, "same-origin"); a.Header.Get("Location") != "/runs/"+f.run.ID || len(d.runs) != 1 || !d.runs[0].Isolated {
		t.Errorf("a run: %s %s, %+v", a.Status, a.Header.Get("Location"), d.runs)
	}
	if a := post("/runs", url.Values{"control": {"network/policy"}, "experiment": {"reachability"}}, "same-origin"); a.StatusCode != http.StatusSeeOther || len(d.runs) != 2 || d.runs[1].Experiment != "reachability" || d.runs[1].Isolated {
		t.Errorf("one experiment: %s, %+v", a.Status, d.runs)
	}
	if a := post("/runs", url.Values{"control": {"no/such"}}, "same-origin"); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a run of nothing: %s", a.Status)
	}
}

// TestActivity lists who did what, and leads to the runs and waivers it was done to.
func TestActivity(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	_, text := d.get(t, "/activity")
	for _, want := range []string{`<a class="lead" href="/runs/` + f.run.ID + `">order run</a>`, `<a class="lead" href="/waivers?q=b7Qk2mX9vT4nR8sL&amp;state=all">add waiver</a>`, `<span class="lead">order run</span>`,
		`<span class="tag bad">refused</span><p>no right to it</p>`, `<span class="tag">done</span>`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if _, text := d.get(t, "/activity?action=end+waiver"); strings.Contains(text, "<span class=\"lead\">order run<") || !strings.Contains(text, ">end waiver<") {
		t.Error("the filter lets others through")
	}
	if status, _ := d.get(t, "/activity?action=sing"); status != http.StatusBadRequest {
		t.Errorf("an act that nobody knows: %d", status)
	}
}

// TestProposal: an experiment's page says what it would try before it is run, to who sees everything and of
// the cluster that the server watches; and that it cannot be run, where it cannot.
func TestProposal(t *testing.T) {
	f := newFixture()
	f.many = true
	path := "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name
	const title = "What it would try now"
	admin := start(t, f, "admin", nil)
	_, text := admin.get(t, path)
	for _, want := range []string{title, "4,218", "about 135,012", "at most 200 a second", "11 minutes", "after 30 minutes", "ephemeral container", "host network, in an init container",
		">shop</a>", "120 in all", "have their turn later", "get, update deployments.apps</code> web", "get /readyz"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if _, text := admin.get(t, path+"?cluster=spoke-1"); strings.Contains(text, title) {
		t.Error("what would be tried is told of another server's cluster")
	}
	if _, text := start(t, f, "tenant", nil).get(t, path); strings.Contains(text, title) {
		t.Error("a tenant sees what would be tried everywhere")
	}
	f.planning = true
	if _, text := admin.get(t, path); strings.Contains(text, title) || !strings.Contains(text, "is being planned.") {
		t.Error("a plan that takes long is waited for")
	}
	f.planning, f.asksOnly = false, true
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			if x.Danger != bailey.DangerIsolated {
				continue
			}
			if _, text := start(t, f, "admin", nil).get(t, "/experiments/"+c.ID+"/"+x.Name); !strings.Contains(text, "An order of it tries nothing here:</b> makes objects of its own") {
				t.Errorf("%s is said to be tried", x.Name)
			}
			return
		}
	}
}

// TestIsolated: runs that make objects of their own are offered where the server lets them, and where it
// does not its pages say how it would.
func TestIsolated(t *testing.T) {
	f := newFixture()
	paths := []string{"/runs"}
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			if x.Danger == bailey.DangerIsolated {
				paths = append(paths, "/experiments/"+c.ID+"/"+x.Name)
			}
		}
	}
	for _, f.asksOnly = range []bool{false, true} {
		d := start(t, f, "admin", nil)
		for _, path := range paths {
			_, text := d.get(t, path)
			if strings.Contains(text, `name="isolated"`) == f.asksOnly || strings.Contains(text, "started as bailey serve --isolated --context NAME") != f.asksOnly {
				t.Errorf("%s, where none may: %t", path, f.asksOnly)
			}
			if strings.Contains(text, `name="experiment"`) == (f.asksOnly || path == "/runs") {
				t.Errorf("%s offers what must fail, or does not what may: %t", path, f.asksOnly)
			}
		}
	}
}

// TestAddresses holds links to this site, to the shown cluster, and to the page that was asked for.
func TestAddresses(t *testing.T) {
	f := newFixture()
	f.many = true
	d := start(t, f, "admin", nil)
	_, text := d.get(t, "/findings?cluster=spoke-1&severity=high")
	if !strings.Contains(text, `href="/namespaces?cluster=spoke-1"`) || !strings.Contains(text, "cluster=spoke-1&amp;cursor=50") || !strings.Contains(text, "severity=high") {
		t.Error("links lose the cluster or the filter")
	}
	if status, _ := d.get(t, "/?cluster=no-such"); status != http.StatusNotFound {
		t.Errorf("an unknown cluster: %d", status)
	}
	for _, back := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "javascript:alert(1)"} {
		answer, err := d.client().PostForm(d.url+"/theme", url.Values{"theme": {"dark"}, "back": {back}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if to := answer.Header.Get("Location"); to != "/" {
			t.Errorf("back=%s leads to %s", back, to)
		}
	}
	if _, text := d.get(t, "/alerts"); !strings.Contains(text, `data-theme="dark"`) || !strings.Contains(text, `value="dark" aria-pressed="true"`) {
		t.Error("the chosen theme is forgotten")
	}
	nobody := start(t, f, "", nil)
	answer, err := nobody.client().Get(nobody.url + "/findings?q=a+b")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if to := answer.Header.Get("Location"); to != "/login?next="+url.QueryEscape("/findings?q=a+b") {
		t.Errorf("nobody is sent to %s", to)
	}
}

// TestNoLinkToNothing: what a tenant may not open is no link, nor is an object that has no page.
func TestNoLinkToNothing(t *testing.T) {
	f := newFixture()
	pod := server.Object{Kind: bailey.KindPod, Namespace: "shop", Name: "web-1"}
	f.found[9].Object = server.Object{Kind: bailey.KindDeployment, Namespace: "shop", Name: "web"}
	f.found[9].Related, f.found[9].Cause = []server.Object{pod}, &f.found[9].Object
	admin := start(t, f, "admin", newBook(t, 3))
	if _, text := admin.get(t, "/findings/"+f.found[9].ID); strings.Contains(text, "/objects/Pod/shop/web-1") || !strings.Contains(text, "/objects/Deployment.apps/shop/web") || !strings.Contains(text, `<span class="ns">shop/</span>web-1`) {
		t.Error("what has no page is a link, or what has one is none")
	}
	for i := range 60 {
		f.found[9].Related = append(f.found[9].Related, server.Object{Kind: bailey.KindPod, Namespace: "shop", Name: fmt.Sprint("web-", 100+i)})
	}
	if _, text := admin.get(t, "/findings/"+f.found[9].ID); !strings.Contains(text, "web-148") || strings.Contains(text, "web-149") || !strings.Contains(text, "and 11 more") {
		t.Error("too many related objects are named, or it is not said how many are not")
	}
	experiment := "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name
	tenant := start(t, f, "tenant", newBook(t, 3))
	for _, path := range []string{experiment, "/controls/compute/pod-security"} {
		for _, lead := range []string{`href="/runs/`, `href="/ledger?`} {
			if _, text := tenant.get(t, path); strings.Contains(text, lead) {
				t.Errorf("a tenant is led to %s at %s", lead, path)
			}
		}
		if _, text := admin.get(t, path); !strings.Contains(text, `href="/ledger?`) {
			t.Errorf("an administrator is not led to the ledger at %s", path)
		}
	}
}

// Bounds of what a page may weigh and take.
const (
	firstViewMost = 300 << 10
	pageMost      = 400 << 10
	renderMost    = 100 * time.Millisecond
)

// TestWeight holds the first view under 300 kB with all that it loads, and every page to a size
// and, at its best of some tries, to a time.
func TestWeight(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	_, text := d.get(t, "/")
	total := len(text)
	root, _ := html.Parse(strings.NewReader(text))
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Val, "/static/") {
				_, asset := d.get(t, a.Val)
				total += len(asset)
			}
		}
	}
	t.Logf("the first view weighs %d kB, its HTML %d kB", total>>10, len(text)>>10)
	if total > firstViewMost {
		t.Errorf("the first view weighs %d bytes", total)
	}
	for _, p := range places(f) {
		if p.person != "" || p.world != nil {
			continue
		}
		best := time.Hour
		size := 0
		for range 5 {
			begun := time.Now()
			_, text := d.get(t, p.path)
			best, size = min(best, time.Since(begun)), len(text)
		}
		if size > pageMost || best > renderMost {
			t.Errorf("%s has %d bytes and took %v", p.path, size, best)
		}
	}
}

// TestUnavailable shows a page that says what to do while the store is away, and keeps what it
// said to the log.
func TestUnavailable(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	f.fails = server.ErrUnavailable
	status, text := d.get(t, "/findings")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "Try again") {
		t.Errorf("%d", status)
	}
	f.fails = io.ErrUnexpectedEOF
	status, text = d.get(t, "/findings")
	if status != http.StatusInternalServerError || strings.Contains(text, "unexpected EOF") || !strings.Contains(d.log.String(), "unexpected EOF") {
		t.Errorf("%d", status)
	}
}

// TestGate: Enforce says what the gate does that runs beside the server, and of no other cluster.
func TestGate(t *testing.T) {
	f := newFixture()
	f.many = true
	for what, test := range map[string]struct {
		gate *server.GateState
		text string
	}{
		"warns":                  {&server.GateState{Mode: "warn", Asked: true, Judged: 1204, Objected: 3}, "and warns.</b> Of 1,204 requests"},
		"refuses":                {&server.GateState{Mode: "enforce", Asked: true, Judged: 1204, Objected: 3}, "and refuses.</b> Of 1,204 requests"},
		"lets more through":      {&server.GateState{Mode: "warn", Asked: true, Deviations: 2}, "lets more through than it should, in 2 ways: the server's log says which. Of"},
		"is not asked":           {&server.GateState{Mode: "enforce", Why: "the cluster has another gate"}, "and the API server is not known to ask it.</b> It is tried again. the cluster has another gate<"},
		"is not there, as usual": {nil, ""},
	} {
		f.gate = test.gate
		d := start(t, f, "admin", nil)
		if code, page := d.get(t, "/enforce"); code != http.StatusOK || !strings.Contains(page, test.text) || strings.Contains(page, "A gate runs") != (test.text != "") {
			t.Errorf("a gate that %s: %d lacks %q", what, code, test.text)
		}
		if code, page := d.get(t, "/enforce?cluster=spoke-1"); code != http.StatusOK || strings.Contains(page, "A gate runs") {
			t.Errorf("a gate that %s is told of another cluster: %d", what, code)
		}
	}
}
