package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/web"
)

// asking is an address of a route, with the status that each person gets there. Parts in braces are filled in.
type asking struct {
	path          string
	tenant, admin int
	// body is the form or JSON that is sent.
	body string
	// file tells that it can be had as CSV.
	file bool
	// anybody tells that it is answered alike to whoever asks; to them with the status for the administrator.
	anybody bool
}

const (
	ok, moved, forbidden, missing = http.StatusOK, http.StatusSeeOther, http.StatusForbidden, http.StatusNotFound
)

var (
	theirWaiver = url.Values{"rule": {"compute/pod-security"}, "namespace": {"{theirs}"}, "reason": {"their reason"}, "owner": {"their-owner"}, "expires": {time.Now().AddDate(0, 1, 0).Format(time.DateOnly)}}
	theirOrder  = `{"rule":"compute/pod-security","namespace":"{theirs}","reason":"their reason","owner":"their-owner","expires":"` + time.Now().AddDate(0, 1, 0).Format(time.RFC3339) + `"}`
)

// pagesSeen says of each route of the site who sees what there. One that is not listed fails the test.
var pagesSeen = map[string][]asking{
	"GET /{$}":                    {{path: "/", tenant: ok, admin: ok, file: true}, {path: "/?cluster={cluster}", tenant: ok, admin: ok, file: true}, {path: "/?cluster=none", tenant: forbidden, admin: forbidden}},
	"GET /changes":                {{path: "/changes", tenant: ok, admin: ok, file: true}, {path: "/changes?since=2020-01-01", tenant: ok, admin: ok, file: true}, {path: "/changes?namespace={theirs}", tenant: ok, admin: ok, file: true}},
	"GET /controls/{area}/{name}": {{path: "/controls/compute/pod-security", tenant: ok, admin: ok, file: true}, {path: "/controls/network/policy", tenant: ok, admin: ok, file: true}, {path: "/controls/no/such", tenant: missing, admin: missing}},
	"GET /controls/{area}/{name}/scopes": {{path: "/controls/compute/pod-security/scopes", tenant: ok, admin: ok, file: true}, {path: "/controls/compute/pod-security/scopes?namespace={theirs}", tenant: ok, admin: ok, file: true},
		{path: "/controls/compute/pod-security/scopes?q={their-web}", tenant: ok, admin: ok, file: true}, {path: "/controls/no/such/scopes", tenant: missing, admin: missing}},
	"GET /findings": {{path: "/findings", tenant: ok, admin: ok, file: true}, {path: "/findings?state=all&order=object", tenant: ok, admin: ok, file: true}, {path: "/findings?state=waived", tenant: ok, admin: ok, file: true},
		{path: "/findings?namespace={theirs}", tenant: ok, admin: ok, file: true}, {path: "/findings?q={their-web}&state=all", tenant: ok, admin: ok, file: true}, {path: "/findings?severity=dreadful", tenant: 400, admin: 400}},
	"GET /findings/{id}": {{path: "/findings/{my-finding}", tenant: ok, admin: ok}, {path: "/findings/{their-finding}", tenant: missing, admin: ok}},
	"GET /workloads": {{path: "/workloads", tenant: ok, admin: ok, file: true}, {path: "/workloads?namespace={theirs}", tenant: ok, admin: ok, file: true}, {path: "/workloads?q={their-web}", tenant: ok, admin: ok, file: true},
		{path: "/workloads?order=findings", tenant: ok, admin: ok, file: true}},
	"GET /objects/{kind}/{ns}/{object}": {{path: "/objects/" + string(bailey.KindDeployment) + "/{mine}/my-web", tenant: ok, admin: ok, file: true}, {path: "/objects/" + string(bailey.KindDeployment) + "/{theirs}/{their-web}", tenant: missing, admin: ok, file: true},
		{path: "/objects/Namespace/_/{mine}", tenant: ok, admin: ok, file: true}, {path: "/objects/Namespace/_/{theirs}", tenant: missing, admin: ok, file: true}},
	"GET /namespaces":                          {{path: "/namespaces", tenant: ok, admin: ok, file: true}, {path: "/namespaces?q={theirs}", tenant: ok, admin: ok, file: true}},
	"GET /experiments":                         {{path: "/experiments", tenant: ok, admin: ok, file: true}},
	"GET /experiments/{area}/{control}/{name}": {{path: "/experiments/{experiment}", tenant: ok, admin: ok, file: true}},
	"GET /runs":                                {{path: "/runs", tenant: ok, admin: ok, file: true}},
	"POST /runs":                               {{path: "/runs", body: "control=access/api-server&experiment=strangers-refused", tenant: forbidden, admin: moved}},
	"GET /runs/{id}":                           {{path: "/runs/{run}", tenant: missing, admin: ok, file: true}},
	"POST /runs/{id}/stop":                     {{path: "/runs/{run}/stop", tenant: forbidden, admin: 400}}, // it has ended
	"GET /ledger":                              {{path: "/ledger", tenant: forbidden, admin: ok, file: true}},
	"GET /alerts":                              {{path: "/alerts", tenant: ok, admin: ok, file: true}, {path: "/alerts?state=all", tenant: ok, admin: ok, file: true}},
	"GET /waivers":                             {{path: "/waivers", tenant: ok, admin: ok, file: true}, {path: "/waivers?state=all", tenant: ok, admin: ok, file: true}},
	"GET /waivers/new":                         {{path: "/waivers/new", tenant: forbidden, admin: ok}},
	"POST /waivers":                            {{path: "/waivers", body: theirWaiver.Encode(), tenant: forbidden, admin: moved}},
	"GET /clusters":                            {{path: "/clusters", tenant: ok, admin: ok, file: true}},
	"GET /waivers/{id}/extend":                 {{path: "/waivers/{waiver}/extend", tenant: forbidden, admin: ok}},
	"POST /waivers/{id}/extend":                {{path: "/waivers/{waiver}/extend", body: "reason=their+reason&expires=2000-01-01", tenant: forbidden, admin: missing}}, // it was ended
	"POST /waivers/{id}/end":                   {{path: "/waivers/{waiver}/end", tenant: forbidden, admin: moved}},
	"GET /enforce":                             {{path: "/enforce", tenant: forbidden, admin: ok, file: true}},
	"GET /enforce/{area}/{control}/{guard}":    {{path: "/enforce/compute/pod-security/enforce-restricted", tenant: forbidden, admin: ok, file: true}},
	"GET /activity":                            {{path: "/activity", tenant: forbidden, admin: ok, file: true}},
	"GET /search":                              {{path: "/search?q=pod", tenant: ok, admin: ok, file: true}, {path: "/search?q={theirs}", tenant: ok, admin: ok, file: true}, {path: "/search?q={their-web}", tenant: ok, admin: ok, file: true}},
	"/":                                        {{path: "/no/such", tenant: missing, admin: missing}},
	"GET /login":                               {{path: "/login", tenant: moved, admin: moved}},
	"POST /login":                              {{path: "/login", body: "token=none", anybody: true, admin: http.StatusUnauthorized}},
	"POST /theme":                              {{path: "/theme", body: "theme=dark&back=/findings", anybody: true, admin: moved}},
	"POST /logout":                             {{path: "/logout", anybody: true, admin: moved}},
	"GET /static/":                             {{path: "{assets}base.css", anybody: true, admin: ok}},
	// No identity provider is named here: serve_oidc_live_test.go has one.
	"GET /login/oidc":          {{path: "/login/oidc", tenant: missing, admin: missing}},
	"GET /login/oidc/callback": {{path: "/login/oidc/callback", tenant: missing, admin: missing}},
}

// endpointsSeen says the same of each endpoint of the OpenAPI document.
var endpointsSeen = map[string][]asking{
	"GET /api/v1/status":                 {{path: "", tenant: ok, admin: ok}},
	"GET /api/v1/clusters":               {{path: "", tenant: ok, admin: ok}, {path: "?cluster=none", tenant: ok, admin: ok}},
	"GET /api/v1/overview":               {{path: "", tenant: ok, admin: ok}, {path: "?cluster={cluster}", tenant: ok, admin: ok}, {path: "?cluster=none", tenant: forbidden, admin: forbidden}},
	"GET /api/v1/controls":               {{path: "", tenant: ok, admin: ok}, {path: "?order=findings&rung=gap", tenant: ok, admin: ok}, {path: "?cluster=none", tenant: forbidden, admin: forbidden}, {path: "?cursor=x", tenant: 422, admin: 422}},
	"GET /api/v1/rules":                  {{path: "?limit=1000", tenant: ok, admin: ok}, {path: "?found=true&order=findings", tenant: ok, admin: ok}, {path: "?cluster=none", tenant: forbidden, admin: forbidden}},
	"GET /api/v1/evidence":               {{path: "?limit=1000", tenant: ok, admin: ok}, {path: "?namespace={theirs}", tenant: ok, admin: ok}, {path: "?cursor=x", tenant: 422, admin: 422}},
	"GET /api/v1/controls/{area}/{name}": {{path: "/api/v1/controls/compute/pod-security", tenant: ok, admin: ok}, {path: "/api/v1/controls/network/policy", tenant: ok, admin: ok}},
	"GET /api/v1/findings":               {{path: "?state=all&limit=1000", tenant: ok, admin: ok}, {path: "?state=all&namespace={theirs}", tenant: ok, admin: ok}, {path: "?text={their-web}", tenant: ok, admin: ok}, {path: "?cursor=x", tenant: 422, admin: 422}},
	"GET /api/v1/findings/{id}":          {{path: "/api/v1/findings/{my-finding}", tenant: ok, admin: ok}, {path: "/api/v1/findings/{their-finding}", tenant: missing, admin: ok}},
	"GET /api/v1/workloads":              {{path: "?limit=1000", tenant: ok, admin: ok}, {path: "?namespace={theirs}", tenant: ok, admin: ok}, {path: "?order=findings", tenant: ok, admin: ok}},
	"GET /api/v1/workload": {{path: "?kind=" + string(bailey.KindDeployment) + "&namespace={mine}&name=my-web", tenant: ok, admin: ok}, {path: "?kind=" + string(bailey.KindDeployment) + "&namespace={theirs}&name={their-web}", tenant: missing, admin: ok},
		{path: "?kind=Namespace&name={theirs}", tenant: missing, admin: ok}},
	"GET /api/v1/namespaces":                                  {{path: "", tenant: ok, admin: ok}},
	"GET /api/v1/controls/{area}/{name}/scopes":               {{path: "/api/v1/controls/compute/pod-security/scopes?limit=1000", tenant: ok, admin: ok}, {path: "/api/v1/controls/compute/pod-security/scopes?namespace={theirs}", tenant: ok, admin: ok}},
	"GET /api/v1/experiments":                                 {{path: "", tenant: ok, admin: ok}},
	"GET /api/v1/experiments/{area}/{name}/{experiment}":      {{path: "/api/v1/experiments/{experiment}", tenant: ok, admin: ok}},
	"GET /api/v1/experiments/{area}/{name}/{experiment}/plan": {{path: "/api/v1/experiments/{experiment}/plan", tenant: forbidden, admin: ok}},
	"GET /api/v1/runs":                                        {{path: "", tenant: ok, admin: ok}},
	"POST /api/v1/runs":                                       {{path: "", body: `{"controls":["access/api-server"],"experiment":"strangers-refused"}`, tenant: forbidden, admin: http.StatusAccepted}},
	"GET /api/v1/runs/{id}":                                   {{path: "/api/v1/runs/{run}", tenant: missing, admin: ok}},
	"POST /api/v1/runs/{id}/stop":                             {{path: "/api/v1/runs/{run}/stop", tenant: forbidden, admin: 422}}, // it has ended
	"GET /api/v1/alerts":                                      {{path: "", tenant: ok, admin: ok}, {path: "?open=true", tenant: ok, admin: ok}},
	"GET /api/v1/actions":                                     {{path: "", tenant: forbidden, admin: ok}},
	"GET /api/v1/waivers":                                     {{path: "", tenant: ok, admin: ok}},
	"POST /api/v1/waivers":                                    {{path: "", body: theirOrder, tenant: forbidden, admin: http.StatusCreated}},
	"GET /api/v1/fleet":                                       {{path: "", tenant: ok, admin: ok}},
	"POST /api/v1/waivers/{id}/extend":                        {{path: "/api/v1/waivers/{waiver}/extend", body: `{"reason":"their reason","expires":"` + time.Now().AddDate(0, 2, 0).Format(time.RFC3339) + `"}`, tenant: forbidden, admin: 422}},
	"DELETE /api/v1/waivers/{id}":                             {{path: "/api/v1/waivers/{waiver}", tenant: forbidden, admin: http.StatusNoContent}}, // the form has ended it; it stays so
	"GET /api/v1/guards":                                      {{path: "", tenant: forbidden, admin: ok}},
	"GET /api/v1/guards/{area}/{name}/{guard}":                {{path: "/api/v1/guards/compute/pod-security/enforce-restricted", tenant: forbidden, admin: ok}},
	"GET /api/v1/changes":                                     {{path: "", tenant: ok, admin: ok}, {path: "?namespace={theirs}", tenant: ok, admin: ok}, {path: "?text={theirs}", tenant: ok, admin: ok}},
	"GET /api/v1/search":                                      {{path: "?text=pod", tenant: ok, admin: ok}, {path: "?text={theirs}", tenant: ok, admin: ok}, {path: "?text={their-web}", tenant: ok, admin: ok}},
	"GET /api/v1/ledger/entries":                              {{path: "", tenant: forbidden, admin: ok}},
	"GET /api/v1/ledger/checkpoint":                           {{path: "", tenant: forbidden, admin: ok}},
	"GET /api/v1/ledger/tile/{tile}":                          {{path: "/api/v1/ledger/tile/0/none", tenant: forbidden, admin: missing}},
	"GET /api/v1/report":                                      {{path: "", tenant: forbidden, admin: ok}},
	"GET /api/v1/events":                                      nil, // it has no end; see events
}

// filledIn puts in what placeholders stand for.
func filledIn(text string, filled map[string]string) string {
	for name, value := range filled {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "{"+name+"}", value), url.QueryEscape("{"+name+"}"), url.QueryEscape(value))
	}
	return text
}

// passing is what differs between two answers that say the same: times, and how old they are by now.
var passing = regexp.MustCompile(`<time .*?</time>|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^",<\s]*`)

func lasting(text string) string { return passing.ReplaceAllString(text, "(a time)") }

// decoys stand for what is theirs, and for nothing that there is. They are as long as that.
func (s *sight) decoys() map[string]string {
	all := maps.Clone(s.filled)
	for _, name := range []string{"theirs", "their-web", "their-finding", "run", "waiver"} {
		all[name] = strings.Repeat("x", len(all[name]))
	}
	return all
}

// nameless takes out of a text what an address named.
func (s *sight) nameless(text string, filled map[string]string) string {
	names := slices.SortedFunc(maps.Keys(filled), func(a, b string) int { return len(filled[b]) - len(filled[a]) })
	for _, name := range names {
		if filled[name] != s.filled[name] || s.decoys()[name] != filled[name] { // else it is not theirs
			text = strings.ReplaceAll(text, filled[name], "(it)")
		}
	}
	return text
}

// sees has each person ask for everything that is listed, and holds the answers to it.
func (s *sight) sees(t *testing.T, routes []string, seen map[string][]asking) {
	for _, route := range routes {
		if _, listed := seen[route]; !listed {
			t.Errorf("%s is not listed: who may see it?", route)
		}
	}
	for route := range seen {
		if !slices.Contains(routes, route) {
			t.Errorf("%s is listed, and is not there", route)
		}
	}
	for _, person := range []string{nobody, outsider, tenant, admin} {
		for _, route := range slices.Sorted(maps.Keys(seen)) {
			if route == "POST /logout" && person != nobody {
				continue // it would end the session; the browser does that
			}
			for _, a := range seen[route] {
				s.sees1(t, person, route, a)
			}
		}
	}
}

func (s *sight) sees1(t *testing.T, person, route string, a asking) {
	method, path, _ := strings.Cut(route, " ")
	if path == "" {
		method, path = http.MethodGet, a.path
	}
	endpoint := strings.HasPrefix(path, "/api/")
	if path = a.path; endpoint && !strings.HasPrefix(path, "/api/") {
		_, path, _ = strings.Cut(route, " ")
		path += a.path
	}
	what := fmt.Sprintf("%s at %s %s", person, method, path)
	told := person == admin || method != http.MethodGet && person == nobody // nothing is to be kept from them, or nothing is asked
	var got answered
	if told {
		got = s.ask(t, person, method, filledIn(path, s.filled), filledIn(a.body, s.filled))
	} else {
		got = s.silent(t, what, method, path, a.body, person)
	}
	want := map[string]int{nobody: moved, outsider: forbidden, tenant: a.tenant, admin: a.admin}[person]
	switch {
	case a.anybody:
		want = a.admin
	case route == "GET /login" && person == nobody:
		want = ok
	case route == "GET /login":
		want = moved
	case endpoint && person == nobody:
		want = http.StatusUnauthorized
	}
	if got.status != want {
		t.Errorf("%s: %d, not %d: %.300s", what, got.status, want, got.text)
	}
	if person == nobody && want == moved && !a.anybody && !strings.HasPrefix(got.text, server.LogInPath+"?next=") {
		t.Errorf("%s is not sent to log in, but to %.100s", what, got.text)
	}
	if told {
		if person == admin && a.file && method == http.MethodGet {
			if f := s.ask(t, person, method, asFile(filledIn(path, s.filled)), ""); f.status != ok || f.kind != "text/csv; charset=utf-8" {
				t.Errorf("%s, as a file: %d %s", what, f.status, f.kind)
			}
		}
		return
	}
	if method == http.MethodGet && !endpoint {
		f := s.silent(t, what+", as a file", method, asFile(path), "", person)
		if isFile := f.status == ok && f.kind == "text/csv; charset=utf-8"; isFile != (a.file && want == ok) || f.status == ok && !isFile && !a.anybody && want != moved && route != "GET /login" {
			t.Errorf("%s, as a file: %d %s", what, f.status, f.kind)
		}
	}
}

// silent holds an answer to no word of what is theirs: where none was sent, and, where one was, to the answer that
// something gets which is not there.
func (s *sight) silent(t *testing.T, what, method, path, body, person string) answered {
	t.Helper()
	got := s.ask(t, person, method, filledIn(path, s.filled), filledIn(body, s.filled))
	decoys := s.decoys()
	echoes := filledIn(path+body, s.filled) != filledIn(path+body, decoys)
	other := got
	if echoes {
		other = s.ask(t, person, method, filledIn(path, decoys), filledIn(body, decoys))
		got.text, other.text = s.nameless(got.text, s.filled), s.nameless(other.text, decoys)
		if lasting(got.text) != lasting(other.text) || got.status != other.status {
			t.Errorf("%s: what is theirs gets %d, and what is not there %d; they differ in %s", what, got.status, other.status, difference(other.text, got.text))
		}
	}
	for _, word := range s.words {
		if strings.Contains(got.text, word) && !strings.Contains(filledIn(body, s.filled), word) {
			at := strings.Index(got.text, word)
			t.Errorf("%s is told of %s: ...%s", what, word, got.text[max(0, at-150):min(len(got.text), at+150)])
		}
	}
	return got
}

func asFile(path string) string {
	if strings.Contains(path, "?") {
		return path + "&format=csv"
	}
	return path + "?format=csv"
}

// difference gives the first lines in which two texts differ.
func difference(before, after string) string {
	a, b := strings.Split(lasting(before), "\n"), strings.Split(lasting(after), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			from := 0
			for from < min(len(a[i]), len(b[i])) && a[i][from] == b[i][from] {
				from++
			}
			from = max(0, from-80)
			return fmt.Sprintf("line %d: %.300q, %.300q", i+1, a[i][from:], b[i][from:])
		}
	}
	return fmt.Sprintf("length: %d lines, %d lines", len(a), len(b))
}

// endpoints lists those of the server's OpenAPI document.
func (s *sight) endpoints(t *testing.T) (routes []string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if a := s.ask(t, nobody, http.MethodGet, "/api/v1/openapi.json", ""); json.Unmarshal([]byte(a.text), &document) != nil || len(document.Paths) < 20 {
		t.Fatalf("the OpenAPI document: %d %.300s", a.status, a.text)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	return routes
}

// noticeTries is how often it is tried at most whether the tenant notices what somebody does elsewhere: in the cluster of a whole run, others
// may do something meanwhile that is the tenant's to see.
const noticeTries = 5

// notices holds all that the tenant may read to saying the same after something has happened in another namespace: at least once of some
// times. What never did tells the tenant of it, or cannot be told from what others do; neither will do.
func (s *sight) notices(t *testing.T) {
	var paths []string
	for route, all := range pagesSeen {
		for _, a := range all {
			if strings.HasPrefix(route, "GET ") && a.tenant == ok && !strings.Contains(a.path, "{their") {
				paths = append(paths, a.path)
				if a.file {
					paths = append(paths, asFile(a.path))
				}
			}
		}
	}
	for route, all := range endpointsSeen {
		for _, a := range all {
			if method, path, _ := strings.Cut(route, " "); method == http.MethodGet && a.tenant == ok && !strings.Contains(a.path, "{their") {
				if strings.HasPrefix(a.path, "/api/") {
					path = ""
				}
				paths = append(paths, path+a.path)
			}
		}
	}
	slices.Sort(paths)
	open := slices.Compact(paths) // what has not said the same yet
	read := func() map[string]string {
		all := map[string]string{}
		for _, path := range open {
			all[path] = s.ask(t, tenant, http.MethodGet, filledIn(path, s.filled), "").text
		}
		return all
	}
	telling := map[string]string{} // by path, what differs
	for i := range noticeTries {
		before, began := read(), time.Now()
		devclustertest.Namespace(t, nil)
		s.ask(t, outsider, http.MethodPost, "/runs", "control=compute/pod-security")
		s.waive(t, s.theirs)
		s.deploy(t, s.theirs, fmt.Sprintf("their-later-%d", i))
		s.await(t, s.theirs, fmt.Sprintf("their-later-%d", i)) // a report of all this
		after, took := read(), time.Since(began)
		open = slices.DeleteFunc(open, func(path string) bool { return lasting(before[path]) == lasting(after[path]) })
		if len(open) == 0 {
			return
		}
		time.Sleep(took)
		later := read() // as long a while in which nothing was done
		for _, path := range open {
			telling[path] = "a tenant notices it: " + difference(before[path], after[path])
			if lasting(after[path]) != lasting(later[path]) {
				telling[path] = "it cannot be told whether a tenant notices it, as it changes by itself: " + difference(after[path], later[path])
			}
		}
	}
	for _, path := range open {
		t.Errorf("%s, after something happened in another namespace: %s", path, telling[path])
	}
}

// events holds the stream of what happens to what each may hear, from a moment on that they name.
func (s *sight) events(t *testing.T) {
	hear := func(person, last string, begun func(), until func(kind, data string) bool) (status int, all string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.p.url+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.tokens[person])
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		if s.tokens[person] == "" {
			r.Header.Del("Authorization")
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		begun()
		kind := ""
		for lines := bufio.NewScanner(a.Body); lines.Scan(); {
			line := lines.Text()
			all += line + "\n"
			if after, found := strings.CutPrefix(line, "event: "); found {
				kind = after
			}
			if data, found := strings.CutPrefix(line, "data: "); found && until(kind, data) {
				break
			}
		}
		return a.StatusCode, all
	}
	for person, want := range map[string]int{nobody: http.StatusUnauthorized, outsider: forbidden} {
		if status, text := hear(person, "", func() {}, func(string, string) bool { return true }); status != want {
			t.Errorf("%s hears: %d %.200s", person, status, text)
		}
	}
	nothing := func() {}
	_, heard := hear(admin, "", func() { s.deploy(t, s.theirs, "their-noted") }, func(kind, _ string) bool { return kind == server.NewsObject })
	id := regexp.MustCompile(`(?m)^id: (\S+)$`).FindStringSubmatch(heard)
	if id == nil {
		t.Fatalf("nothing is heard: %s", heard)
	}
	run := s.p.order(t, s.tokens[admin], `{"controls":["access/api-server"],"experiment":"strangers-refused"}`)
	s.idle(t)
	s.deploy(t, s.theirs, "their-heard")
	s.await(t, s.theirs, "their-heard")
	s.deploy(t, s.mine, "my-heard")
	s.await(t, s.mine, "my-heard")
	_, all := hear(admin, id[1], nothing, func(_, data string) bool { return strings.Contains(data, "my-heard") })
	if !strings.Contains(all, "their-heard") || !strings.Contains(all, run) {
		t.Errorf("an administrator does not hear all: %.2000s", all)
	}
	_, own := hear(tenant, id[1], nothing, func(_, data string) bool { return strings.Contains(data, "my-heard") })
	if !strings.Contains(own, s.mine) {
		t.Errorf("a tenant does not hear of their own: %.2000s", own)
	}
	for _, word := range append(s.words, run) {
		if at := strings.Index(own, word); at >= 0 {
			t.Errorf("a tenant hears of %s: %.300s", word, own[max(0, at-100):])
		}
	}
	if counted := regexp.MustCompile(`"version":\d+,"findings":[1-9]\d*`).FindString(own); counted != "" {
		t.Errorf("a tenant hears how many findings there are in the cluster: %s", counted)
	}
}

// all tries who sees what, on every page, file and endpoint.
func (s *sight) all(t *testing.T) {
	t.Run("pages", func(t *testing.T) { s.sees(t, web.Routes(), pagesSeen) })
	s.idle(t)
	t.Run("endpoints", func(t *testing.T) { s.sees(t, s.endpoints(t), endpointsSeen) })
	s.idle(t)
	t.Run("lists", s.lists)
	t.Run("notices", s.notices)
	t.Run("events", s.events)
	t.Run("browser", s.browsers)
}
