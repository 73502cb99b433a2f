package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
)

// spokes are servers that watch folders and push to a hub, which watches one itself.
type spokes struct {
	state string
	hub   *servedProcess
	token string // of the hub's administrator
	data  string // of the hub
}

func writePod(t *testing.T, folder, name string) {
	t.Helper()
	writePodIn(t, folder, "shop", name)
}

func writePodIn(t *testing.T, folder, namespace, name string) {
	t.Helper()
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: {hostNetwork: true, containers: [{name: c, image: x}]}\n"
	if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs bailey hub on the hub's data, and gives what it prints.
func (s *spokes) command(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := programIn(t, s.state, append(append([]string{"hub"}, args...), "--data", s.data)...)
	if code != exitOK {
		t.Fatalf("bailey hub %q: exit %d: %s", args, code, errs)
	}
	return strings.TrimSpace(out)
}

// spoke is a server that pushes.
type spoke struct {
	*servedProcess
	folder, uid string // what it watches
	token       string // of its administrator
	push        string // its token at the hub
	state, data string
	args        []string
}

// spoke starts a server over a folder with one pod.
func (s *spokes) spoke(t *testing.T, pod string, more ...string) *spoke {
	t.Helper()
	folder, state := t.TempDir(), t.TempDir()
	p := &spoke{folder: folder, uid: fileIdentity(folder), state: state, data: filepath.Join(state, "data")}
	writePod(t, folder, pod)
	p.push = s.command(t, "token", p.uid, "--name", "cluster of "+pod)
	file := filepath.Join(state, "push-token")
	if err := os.WriteFile(file, []byte(p.push+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = append([]string{"serve", "--data", p.data, "--target", folder, "--push-to", s.hub.url, "--push-token", file}, more...)
	p.servedProcess = startServed(t, state, p.args...)
	p.token = tokenIn(t, p.data)
	return p
}

// push sends what a spoke might, and gives the answer.
func (s *spokes) push(t *testing.T, token, encoding string, body io.Reader) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.hub.url+server.PushPath, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(said)
}

// findingsAt gives the open findings of a cluster at a server; empty: its own.
func findingsAt(t *testing.T, p *servedProcess, token, cluster string) (all []string) {
	t.Helper()
	cursor := ""
	for {
		code, body := p.get(t, "/api/v1/findings?limit=1000&cluster="+cluster+"&cursor="+cursor, token)
		var page struct {
			Findings []struct{ ID, Rule, Message string }
			Next     string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || code != http.StatusOK {
			return nil
		}
		for _, f := range page.Findings {
			all = append(all, f.ID+" "+f.Rule+" "+f.Message)
		}
		if cursor = page.Next; cursor == "" {
			slices.Sort(all)
			return all
		}
	}
}

// TestHub: two spokes push to a hub what it then shows of each as the spoke itself does; the hub
// is killed and comes back, and what changed meanwhile is there. What is pushed by whoever may
// not, or cannot be read, is refused, and changes nothing.
func TestHub(t *testing.T) {
	s := &spokes{state: t.TempDir()}
	folder := t.TempDir()
	writePod(t, folder, "of-the-hub")
	s.data = filepath.Join(s.state, "data")
	args := []string{"serve", "--hub", "--data", s.data, "--target", folder}
	s.hub = startServed(t, s.state, args...)
	s.token = tokenIn(t, s.data)
	address := strings.TrimPrefix(s.hub.url, "http://")

	one, two := s.spoke(t, "red"), s.spoke(t, "blue")
	at := func(uid, pod string) {
		t.Helper()
		awaitText(t, s.hub, s.token, "/api/v1/findings?name="+pod+"&cluster="+uid, "host-namespaces")
	}
	at(one.uid, "red")
	at(two.uid, "blue")
	same := func(what string) {
		t.Helper()
		for _, spoke := range []*spoke{one, two} {
			var have, want []string
			awaitWithin(t, 30*time.Second, what+": the hub shows what the spoke does", func() bool {
				have, want = findingsAt(t, s.hub, s.token, spoke.uid), findingsAt(t, spoke.servedProcess, spoke.token, "")
				return len(want) > 0 && slices.Equal(have, want)
			})
		}
	}
	same("at first")
	writePod(t, one.folder, "green")
	at(one.uid, "green")
	if err := os.Remove(filepath.Join(one.folder, "red.yaml")); err != nil {
		t.Fatal(err)
	}
	awaitText(t, s.hub, s.token, "/api/v1/findings?name=red&state=gone&cluster="+one.uid, "host-namespaces")
	if code, body := s.hub.get(t, "/api/v1/clusters", s.token); code != http.StatusOK || !strings.Contains(body, one.uid) || !strings.Contains(body, two.uid) {
		t.Errorf("the clusters: %d %s", code, body)
	}
	if code, body := s.hub.get(t, "/?cluster="+two.uid, s.token); code != http.StatusOK || !strings.Contains(body, `href="/?cluster=`+one.uid) {
		t.Errorf("the page of a spoke does not lead to the other: %d %.300s", code, body)
	}
	s.refused(t, one.uid, one.push, two.push)
	writePod(t, one.folder, "again") // it does not follow what was pushed in the spoke's name, which begins anew with the whole
	at(one.uid, "again")
	same("after what was refused")

	// The hub is killed; it comes back at the same address.
	s.hub.kill()
	writePod(t, one.folder, "while-away")
	awaitText(t, one.servedProcess, one.token, "/api/v1/findings?name=while-away", "host-namespaces")
	s.hub = startServedAt(t, address, s.state, args...)
	awaitWithin(t, 2*time.Minute, "what changed while the hub was away is pushed", func() bool {
		_, body := s.hub.get(t, "/api/v1/findings?name=while-away&cluster="+one.uid, s.token)
		return strings.Contains(body, "host-namespaces")
	})
	same("after the hub was away")

	s.command(t, "revoke", one.uid)
	writePod(t, one.folder, "revoked")
	awaitText(t, one.servedProcess, one.token, "/api/v1/findings?name=revoked", "host-namespaces")
	if code, said := s.push(t, one.push, "", strings.NewReader("")); code != http.StatusUnauthorized {
		t.Errorf("with a token that was taken back: %d %s", code, said)
	}
	if list := s.command(t, "list"); !strings.Contains(list, one.uid+"  no token") || !strings.Contains(list, two.uid+"  pushes") {
		t.Errorf("the list: %s", list)
	}
	for _, p := range []*servedProcess{two.servedProcess, one.servedProcess, s.hub} {
		code, said := p.end(t)
		if code != exitOK || strings.Contains(said, one.push) || strings.Contains(said, two.push) {
			t.Errorf("exit %d: %s", code, said)
		}
	}
}

// refused pushes what is not to be taken.
func (s *spokes) refused(t *testing.T, uid, token, other string) {
	t.Helper()
	head := func(kind, session string, number int) string {
		return fmt.Sprintf(`{"format":"bailey-push","version":1,"kind":%q,"cluster":%q,"name":"x","session":%q,"number":%d}`+"\n", kind, uid, session, number)
	}
	whole := head("whole", "false", 0) + `{"end":0}` + "\n"
	zipped := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return b.Bytes()
	}
	large := head("whole", "false", 0) + strings.Repeat(`{"gone":{"kind":"Pod","name":"`+strings.Repeat("x", 900)+"\"}}\n", 12<<10) // 11 MB
	before := findingsAt(t, s.hub, s.token, uid)
	for name, c := range map[string]struct {
		token, encoding string
		body            []byte
		want            int
	}{
		"no token":            {"", "", []byte(whole), http.StatusUnauthorized},
		"a wrong token":       {"bailey-push-WRONG", "", []byte(whole), http.StatusUnauthorized},
		"the administrator":   {s.token, "", []byte(whole), http.StatusUnauthorized},
		"another's cluster":   {other, "", []byte(whole), http.StatusForbidden},
		"out of turn":         {token, "", []byte(head("delta", "false", 7) + `{"end":0}` + "\n"), http.StatusConflict},
		"cut off":             {token, "", []byte(whole[:len(whole)-5]), http.StatusBadRequest},
		"cut off, compressed": {token, "gzip", zipped(whole)[:20], http.StatusBadRequest},
		"its checksum lacks":  {token, "gzip", zipped(whole)[:len(zipped(whole))-6], http.StatusBadRequest},
		"no gzip":             {token, "gzip", []byte(whole), http.StatusBadRequest},
		"unknown compression": {token, "br", []byte(whole), http.StatusUnsupportedMediaType},
		"not JSON":            {token, "", []byte("hello\n"), http.StatusBadRequest},
		"large, and cut off":  {token, "", []byte(large), http.StatusBadRequest},
		"more than is taken":  {token, "gzip", bomb(t, head("whole", "false", 0)), http.StatusRequestEntityTooLarge},
		"an endless line":     {token, "gzip", zipped(strings.Repeat("x", 2<<20)), http.StatusRequestEntityTooLarge},
	} {
		if code, said := s.push(t, c.token, c.encoding, bytes.NewReader(c.body)); code != c.want || strings.Contains(said, token) {
			t.Errorf("%s: %d %s", name, code, said)
		}
	}
	if code, _ := s.hub.get(t, "/api/v1/findings?cluster="+uid, token); code != http.StatusUnauthorized {
		t.Errorf("a token for pushing reads: %d", code)
	}
	if after := findingsAt(t, s.hub, s.token, uid); !slices.Equal(before, after) || len(after) == 0 {
		t.Errorf("there were %d findings, and there are %d", len(before), len(after))
	}
	// A large push that is whole is taken: 11 MB more than a request of others may have.
	if code, said := s.push(t, token, "", strings.NewReader(large+fmt.Sprintf(`{"end":%d}`+"\n", 12<<10))); code != http.StatusNoContent {
		t.Errorf("11 MB: %d %s", code, said)
	}
}

// bomb is small, and more than is taken once it is decompressed.
func bomb(t *testing.T, head string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(`{"gone":{"kind":"Pod","name":"x"}}` + strings.Repeat(" ", 900<<10) + "\n")
	_, _ = z.Write([]byte(head))
	for range 300 {
		_, _ = z.Write(line)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
