package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// sight is a cluster with two namespaces of which a tenant may see one, as a server that watches it shows them.
type sight struct {
	cluster      *devcluster.Cluster
	mine, theirs string // namespaces
	// words are in no answer to the tenant, but where they sent them themselves: each is a namespace, a name, an ID or a
	// text of what is not theirs.
	words    []string
	tokens   map[string]string // of people
	sessions map[string]http.CookieJar
	p        *servedProcess
	// filled are placeholders of addresses, such as {theirs}, with what they stand for.
	filled map[string]string
}

// The people of a sight. An outsider is known to the cluster, which grants them nothing; nobody has no session.
const (
	nobody, outsider, tenant, admin = "nobody", "outsider", "tenant", "admin"
)

// newSight makes namespaces, what is in them, and people with rights, before the server begins.
func newSight(t *testing.T, cluster *devcluster.Cluster) *sight {
	t.Helper()
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	s := &sight{cluster: cluster, mine: devclustertest.Namespace(t, labels), theirs: devclustertest.Namespace(t, labels), tokens: map[string]string{}, sessions: map[string]http.CookieJar{}}
	s.words = []string{s.theirs, "their-web", "their-binding", "their-later", "their reason", "their-owner"}
	s.deploy(t, s.mine, "my-web")
	s.deploy(t, s.theirs, "their-web")
	for _, person := range []string{outsider, tenant, admin} {
		path := "/api/v1/namespaces/" + s.mine + "/serviceaccounts"
		s.post(t, path, map[string]any{"metadata": map[string]any{"name": person}}, nil)
		var answer struct{ Status struct{ Token string } }
		s.post(t, path+"/"+person+"/token", map[string]any{"spec": map[string]any{"audiences": []string{server.Audience}, "expirationSeconds": 7200}}, &answer)
		s.tokens[person] = answer.Status.Token
	}
	s.grant(t, tenant, s.mine, "bailey-tenant", map[string]any{"apiGroups": []string{server.Group}, "resources": []string{"reports"}, "verbs": []string{"get"}})
	s.grant(t, admin, "", "bailey-"+s.mine,
		map[string]any{"apiGroups": []string{server.Group}, "resources": []string{"reports", "ledgers", "guards"}, "verbs": []string{"get"}},
		map[string]any{"apiGroups": []string{server.Group}, "resources": []string{"experiments", "waivers"}, "verbs": []string{"create"}})
	// What is theirs speaks of what is mine: an account of mine has rights there.
	s.grant(t, tenant, s.theirs, "their-binding", map[string]any{"apiGroups": []string{"", "apps"}, "resources": []string{"secrets", "pods", "deployments"}, "verbs": []string{"*"}})
	return s
}

func (s *sight) post(t *testing.T, path string, object map[string]any, answer any) {
	t.Helper()
	if err := s.cluster.Do(t.Context(), http.MethodPost, path, object, answer); err != nil {
		t.Fatal(err)
	}
}

// deploy makes what many rules find something wrong with; no pod comes of it where Pod Security is enforced.
func (s *sight) deploy(t *testing.T, namespace, name string) {
	t.Helper()
	labels := map[string]any{"app": name}
	s.post(t, "/apis/apps/v1/namespaces/"+namespace+"/deployments", map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{
		"selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
			"hostPID": true, "serviceAccountName": tenant, "containers": []any{map[string]any{"name": "c", "image": "example.com/" + name, "securityContext": map[string]any{"privileged": true}}}}}}}, nil)
}

// grant gives an account a role, in a namespace or everywhere, and waits until its first rule is in force.
func (s *sight) grant(t *testing.T, account, namespace, name string, rules ...map[string]any) {
	t.Helper()
	group, kind := "/apis/rbac.authorization.k8s.io/v1/", "ClusterRole"
	if namespace != "" {
		group, kind = group+"namespaces/"+namespace+"/", "Role"
	}
	roles, bindings := group+strings.ToLower(kind)+"s", group+strings.ToLower(kind)+"bindings"
	meta := map[string]any{"name": name}
	s.post(t, roles, map[string]any{"metadata": meta, "rules": rules}, nil)
	s.post(t, bindings, map[string]any{"metadata": meta, "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": s.mine, "name": account}}}, nil)
	if namespace == "" {
		t.Cleanup(func() {
			for _, list := range []string{roles, bindings} {
				_ = s.cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, list+"/"+name, nil, nil)
			}
		})
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var answer struct{ Status struct{ Allowed bool } }
		s.post(t, "/apis/authorization.k8s.io/v1/subjectaccessreviews", map[string]any{"spec": map[string]any{"user": "system:serviceaccount:" + s.mine + ":" + account,
			"resourceAttributes": map[string]any{"group": rules[0]["apiGroups"].([]string)[0], "resource": rules[0]["resources"].([]string)[0], "verb": rules[0]["verbs"].([]string)[0], "namespace": namespace}}}, &answer)
		if answer.Status.Allowed {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the grant does not come into force")
		}
	}
}

// answered is what somebody got.
type answered struct {
	status int
	text   string // the headers that say something, and the body
	kind   string
}

// ask asks as a person does who has logged in, or for endpoints by a token.
func (s *sight) ask(t *testing.T, person, method, path, body string) answered {
	t.Helper()
	for {
		r, err := http.NewRequestWithContext(t.Context(), method, s.p.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		switch {
		case strings.HasPrefix(path, "/api/"):
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			if token := s.tokens[person]; token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
		default:
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			client.Jar = s.jar(t, person)
		}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode == http.StatusTooManyRequests { // all come from one address
			time.Sleep(100 * time.Millisecond)
			continue
		}
		return answered{a.StatusCode, a.Header.Get("Location") + a.Header.Get("Content-Disposition") + "\n" + string(text), a.Header.Get("Content-Type")}
	}
}

// jar holds the session of a person, who logs in by a token at first.
func (s *sight) jar(t *testing.T, person string) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.tokens[person] == "" {
		return jar
	}
	at, _ := url.Parse(s.p.url)
	if s.sessions[person] == nil {
		client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		a, err := client.PostForm(s.p.url+server.LogInPath, url.Values{"token": {s.tokens[person]}})
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if a.StatusCode != http.StatusSeeOther || len(jar.Cookies(at)) != 1 {
			t.Fatalf("%s does not get in: %s", person, a.Status)
		}
		s.sessions[person] = jar
	}
	return s.sessions[person]
}

// read reads an endpoint as the administrator.
func (s *sight) read(t *testing.T, path string, answer any) {
	t.Helper()
	if a := s.ask(t, admin, http.MethodGet, path, ""); a.status != http.StatusOK || json.Unmarshal([]byte(a.text), answer) != nil {
		t.Fatalf("%s: %d %.500s", path, a.status, a.text)
	}
}

// serves begins to ask a server that has judged the cluster, and has done a run: there is then something of everything.
func (s *sight) serves(t *testing.T, p *servedProcess, run string) {
	t.Helper()
	s.p = p
	s.later(t, "later")
	var clusters struct{ Items []server.ClusterInfo }
	s.read(t, "/api/v1/clusters", &clusters)
	var done server.Run
	s.read(t, "/api/v1/runs/"+run, &done)
	waiver := s.waive(t, s.theirs)
	s.waive(t, s.mine)
	assets := regexp.MustCompile(server.StaticPath + `[0-9a-f]+/`).FindString(s.ask(t, nobody, http.MethodGet, server.LogInPath, "").text)
	s.filled = map[string]string{"assets": assets, "theirs": s.theirs, "mine": s.mine, "their-web": "their-web", "run": run, "waiver": waiver, "cluster": clusters.Items[0].UID,
		"experiment":    done.Experiments[0].Control + "/" + done.Experiments[0].Experiment,
		"their-finding": s.finding(t, s.theirs), "my-finding": s.finding(t, s.mine)}
	s.words = append(s.words, run, waiver, s.filled["their-finding"])
}

// later adds to what is mine and theirs, which raises alerts, and waits until both are shown.
func (s *sight) later(t *testing.T, name string) {
	t.Helper()
	s.deploy(t, s.mine, "my-"+name)
	s.deploy(t, s.theirs, "their-"+name)
	s.await(t, s.mine, "my-"+name)
	s.await(t, s.theirs, "their-"+name)
}

// await waits until what is wrong with a Deployment is shown.
func (s *sight) await(t *testing.T, namespace, name string) {
	t.Helper()
	s.until(t, "/api/v1/findings?state=all&namespace="+namespace+"&name="+name, "compute/pod-security/privileged")
}

// until waits until an endpoint's answer has a text. On a busy machine a report takes long, and rests nine times as long.
func (s *sight) until(t *testing.T, path, want string) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		a := s.ask(t, admin, http.MethodGet, path, "")
		if strings.Contains(a.text, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s lacks %s: %d %.500s", path, want, a.status, a.text)
		}
	}
}

// idle waits until no run is under way.
func (s *sight) idle(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var runs struct{ Items []server.Run }
		if s.read(t, "/api/v1/runs", &runs); runs.Items[0].State == "done" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it does not end: %+v", runs.Items[0])
		}
	}
}

func (s *sight) finding(t *testing.T, namespace string) string {
	t.Helper()
	var page server.FindingPage
	s.read(t, "/api/v1/findings?limit=1&namespace="+namespace, &page)
	if len(page.Findings) == 0 {
		t.Fatalf("nothing is found in %s", namespace)
	}
	return page.Findings[0].ID
}

// waive accepts something in a namespace, and gives the waiver's ID.
func (s *sight) waive(t *testing.T, namespace string) string {
	t.Helper()
	reason, owner := "my reason", "my-owner"
	if namespace == s.theirs {
		reason, owner = "their reason", "their-owner"
	}
	order, err := json.Marshal(server.WaiverOrder{Rule: "compute/pod-security/host-namespaces", Namespace: namespace, Name: "*-web", Reason: reason, Owner: owner, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	if a := s.ask(t, admin, http.MethodPost, "/api/v1/waivers", string(order)); a.status != http.StatusCreated || json.Unmarshal([]byte(a.text), &made) != nil {
		t.Fatalf("%d %s", a.status, a.text)
	}
	s.until(t, "/api/v1/findings?state=waived&namespace="+namespace, "compute/pod-security/host-namespaces")
	return made.ID
}
