package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/report"
)

// remoteTried runs a scan of a server in this process.
func remoteTried(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"scan"}, args...), strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

// TestRemoteRefusals: each way in which a server does not give its report is one clear error
// with what to do, and the token is in none.
func TestRemoteRefusals(t *testing.T) {
	const secret = "a-token-that-nobody-may-see"
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stolen := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen <- r.Header.Get("Authorization") }))
	defer other.Close()
	json := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(text))
		}
	}
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"wrong token": {status(401, "no"), "the token is not accepted"},
		"forbidden":   {status(403, "the whole report is for others"), "forbidden: the whole report is for others"},
		"older":       {status(404, "there is no GET /api/v1/report"), "an older server"},
		"not yet":     {status(503, "the first report is not made yet"), "not now"},
		"too often":   {status(429, "too many requests"), "not now"},
		"broken":      {status(500, "oh\x1b[31m "+secret), "500 Internal Server Error: oh"},
		"another":     {json(`{"schemaVersion":9}`), "another version of Bailey"},
		"truncated":   {json(`{"schemaVersion":1,"findings":[`), "ended early"},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			json(`{"schemaVersion":1,`)(w, r)
		}, "ended early"},
		"no report": {json(`[1,2]`), "this is no report"},
		"a page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) }, "no answer of Bailey"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/api/v1/report", http.StatusTemporaryRedirect)
		}, "sends on to"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			out, errs, code := remoteTried(t, "--server", s.URL, "--token-file", token)
			if code != exitFailed || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, secret) || strings.ContainsRune(errs, 0x1b) || strings.Count(errs, "\nhint:") > 1 {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
			if name != "broken" && !strings.Contains(errs, "\nhint: ") {
				t.Errorf("no hint: %s", errs)
			}
		})
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	secure := httptest.NewTLSServer(json(`{}`))
	secure.Config.ErrorLog = nil
	defer secure.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unreachable":            {[]string{"--server", gone.URL}, exitFailed, "cannot be reached"},
		"not TLS":                {[]string{"--server", "https://" + strings.TrimPrefix(other.URL, "http://")}, exitFailed, "does not speak TLS"},
		"TLS":                    {[]string{"--server", "http://" + strings.TrimPrefix(secure.URL, "https://")}, exitFailed, "it speaks TLS"},
		"unknown authority":      {[]string{"--server", secure.URL}, exitFailed, "--server-ca"},
		"plain over the network": {[]string{"--server", "http://bailey.example.com"}, exitUsage, "neither https nor on this machine"},
		"plain to all addresses": {[]string{"--server", "http://0.0.0.0:1"}, exitUsage, "neither https nor on this machine"},
		"no URL":                 {[]string{"--server", "bailey.example.com"}, exitUsage, "wants a URL"},
		"a password":             {[]string{"--server", "https://me:" + secret + "@bailey.example.com"}, exitUsage, "wants a URL"},
		"and a target":           {[]string{"--server", other.URL, "."}, exitUsage, "leave out one"},
		"and a context":          {[]string{"--server", other.URL, "--context", "x"}, exitUsage, "leave out one"},
		"and a save":             {[]string{"--server", other.URL, "--save", "x"}, exitUsage, "leave out one"},
		"token and no server":    {nil, exitUsage, "--server URL names it"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := remoteTried(t, append(c.args, "--token-file", token)...)
			if code != c.code || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, secret) || strings.Count(errs, "hint: ") != 1 {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
		})
	}
	// The local administrator's token is shown to nobody but the server that wrote down where it answers.
	if _, errs, code := remoteTried(t, "--server", other.URL); code != exitUsage || !strings.Contains(errs, "--token-file DIR/token") {
		t.Errorf("exit %d: %s", code, errs)
	}
	select {
	case got := <-stolen:
		t.Errorf("another server was sent %q", got)
	default:
	}
}

// TestRemoteReport: a report is shown by the flags, by the environment, which a target that is
// named goes before, over TLS with its authority, and with the token of this machine's server.
func TestRemoteReport(t *testing.T) {
	const secret = "the-local-token-of-thirty-two-characters"
	state, dir := t.TempDir(), t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Chdir(dir)
	if err := os.WriteFile("pod.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: a, image: b}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	made, errs, code := remoteTried(t, "pod.yaml", "-o", "json", "--fail-on", "none")
	if code != exitOK {
		t.Fatal(errs)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret || r.URL.Path != "/api/v1/report" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(made))
	})
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	data := filepath.Join(state, "bailey", "server")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{tokenFile: secret, addressFile: plain.URL} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	local := strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)
	for _, args := range [][]string{{"--server", plain.URL}, {"--server", local + "/"}, {"--server", secure.URL, "--server-ca", ca, "--token-file", filepath.Join(data, tokenFile)}} {
		out, errs, code := remoteTried(t, append(args, "-o", "json", "--fail-on", "none")...)
		if code != exitOK || out != made {
			t.Errorf("%v: exit %d: %s\n%.300s", args, code, errs, out)
		}
	}
	t.Setenv("BAILEY_SERVER", plain.URL)
	for _, f := range report.Formats() {
		if out, errs, code := remoteTried(t, "-o", f.Name); code != exitFindings || out == "" {
			t.Errorf("-o %s: exit %d: %s", f.Name, code, errs)
		}
	}
	if out, _, _ := remoteTried(t, "--fail-on", "none"); !strings.Contains(out, "--server") && strings.Contains(out, "bailey scan") {
		t.Errorf("the text names no server: %s", out)
	}
	if err := os.WriteFile("clean.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := remoteTried(t, "clean.yaml", "-c", "compute/pod-security"); code != exitOK || strings.Contains(out, "hostPID") {
		t.Errorf("a target that is named gives way to the environment: exit %d: %s%s", code, out, errs)
	}
}
