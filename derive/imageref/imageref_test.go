package imageref

import (
	"errors"
	"strings"
	"testing"
)

const hex64 = "436cc645fad33c21ddc02177eb060b7573c8166179968a2a4e16ef8320bd41dc"

func TestParse(t *testing.T) {
	for text, want := range map[string]Ref{
		"nginx":                     {"docker.io", "nginx", "", ""},
		"nginx:1.27":                {"docker.io", "nginx", "1.27", ""},
		"bitnami/redis:7":           {"docker.io", "bitnami/redis", "7", ""},
		"docker.io/library/alpine":  {"docker.io", "library/alpine", "", ""},
		"index.docker.io/x/y:z":     {"docker.io", "x/y", "z", ""},
		"localhost/app":             {"localhost", "app", "", ""},
		"localhost:5000/app:dev":    {"localhost:5000", "app", "dev", ""},
		"myhost:5000/app":           {"myhost:5000", "app", "", ""},
		"app:5000":                  {"docker.io", "app", "5000", ""},
		"MyHost/app":                {"MyHost", "app", "", ""},
		"registry.k8s.io/a/b/c:v1":  {"registry.k8s.io", "a/b/c", "v1", ""},
		"[fd00:10::1]:5000/app:v1":  {"[fd00:10::1]:5000", "app", "v1", ""},
		"[::1]/app":                 {"[::1]", "app", "", ""},
		"10.0.0.1:80/app":           {"10.0.0.1:80", "app", "", ""},
		"a/b__c/d.e/f---g_h":        {"docker.io", "a/b__c/d.e/f---g_h", "", ""},
		"q.io/a:v_1.0-rc.1":         {"q.io", "a", "v_1.0-rc.1", ""},
		"q.io/a@sha256:" + hex64:    {"q.io", "a", "", "sha256:" + hex64},
		"a:1@sha256:" + hex64:       {"docker.io", "a", "1", "sha256:" + hex64},
		"a@sha512:" + hex64 + hex64: {"docker.io", "a", "", "sha512:" + hex64 + hex64},
		"q.io/a:_x":                 {"q.io", "a", "_x", ""},
		hex64[:63]:                  {"docker.io", hex64[:63], "", ""},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]error{
		"":                                       ErrEmpty,
		strings.Repeat("a/", 3000):               ErrTooLong,
		hex64:                                    ErrIdentifier,
		"Nginx":                                  ErrUpperCase,
		"q.io/App:v1":                            ErrUpperCase,
		"nginx:":                                 ErrTag,
		"nginx:.x":                               ErrTag,
		"nginx:-x":                               ErrTag,
		"nginx:a b":                              ErrTag,
		"nginx:" + strings.Repeat("x", 129):      ErrTag,
		"nginx@":                                 ErrDigest,
		"nginx@sha256":                           ErrDigest,
		"nginx@sha256:abc":                       ErrDigest,
		"nginx@sha256:" + strings.ToUpper(hex64): ErrDigest,
		"nginx@md5:" + hex64[:32]:                ErrDigest,
		"a@sha256:" + hex64 + "@x":               ErrDigest,
		"/nginx":                                 ErrRepository,
		"nginx/":                                 ErrRepository,
		"a//b":                                   ErrRepository,
		"a..b":                                   ErrRepository,
		"a___b":                                  ErrRepository,
		"a-_b":                                   ErrRepository,
		"-a":                                     ErrRepository,
		"a-":                                     ErrRepository,
		"a b":                                    ErrRepository,
		" nginx":                                 ErrRepository,
		"nginx\n":                                ErrRepository,
		"q.io/":                                  ErrRepository,
		"q.io/ä":                                 ErrRepository,
		"https://q.io/a":                         ErrRegistry,
		"q..io/a":                                ErrRegistry,
		"q.io:x/a":                               ErrRegistry,
		"-q.io/a":                                ErrRegistry,
		"[::1/a":                                 ErrRegistry,
		"q.io/" + strings.Repeat("a", 256):       ErrRepository,
		"$(IMAGE)":                               ErrUpperCase,
	} {
		if got, err := Parse(text); !errors.Is(err, want) {
			t.Errorf("Parse(%.60q) = %+v, %v; want %v", text, got, err, want)
		}
	}
}

func TestRef(t *testing.T) {
	for _, c := range []struct {
		text           string
		name           string
		pinned, latest bool
	}{
		{"nginx", "docker.io/library/nginx", false, true},
		{"nginx:latest", "docker.io/library/nginx", false, true},
		{"nginx:1", "docker.io/library/nginx", false, false},
		{"bitnami/redis@sha256:" + hex64, "docker.io/bitnami/redis", true, false},
		{"q.io/a:latest@sha256:" + hex64, "q.io/a", true, false},
	} {
		r, err := Parse(c.text)
		if err != nil || r.Name() != c.name || r.Pinned() != c.pinned || r.Latest() != c.latest {
			t.Errorf("%s: %v, name %s, pinned %v, latest %v", c.text, err, r.Name(), r.Pinned(), r.Latest())
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	texts := []string{"nginx", "registry.k8s.io/a/b:v1@sha256:" + hex64, "Bad Name"}
	if n := testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			_, _ = Parse(text)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: what parses can be written again in full and parses to the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"nginx", "a/b:1", "q.io:1/a@sha256:" + hex64, "[::1]:5000/a", "localhost/x__y--z", "A/b", "$(X)", "a@b@c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			if r != (Ref{}) {
				t.Fatalf("an error with %+v", r)
			}
			return
		}
		whole := r.Name()
		if r.Tag != "" {
			whole += ":" + r.Tag
		}
		if r.Digest != "" {
			whole += "@" + r.Digest
		}
		again, err := Parse(whole)
		if len(r.Name()) > len(DefaultRegistry)+1+maxRepository {
			return // "library/" may make it too long
		}
		if err != nil || again.Name() != r.Name() || again.Tag != r.Tag || again.Digest != r.Digest {
			t.Fatalf("%q parses to %+v; written as %q it gives %+v, %v", text, r, whole, again, err)
		}
	})
}

// TestFullName wants a name of every text, and of a valid reference its own.
func TestFullName(t *testing.T) {
	for text, want := range map[string]string{
		"nginx": "docker.io/library/nginx", "nginx:1@sha256:ab": "docker.io/library/nginx", "team/app": "docker.io/team/app",
		"docker.io/nginx": "docker.io/library/nginx", "index.docker.io/team/app:1": "docker.io/team/app",
		"registry.example:5000/a/b:1": "registry.example:5000/a/b", "localhost/a": "localhost/a", "Registry/a": "Registry/a",
		"": "docker.io/library/", "https://registry.example/a": "https://registry.example/a",
	} {
		if got := FullName(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if ref, err := Parse(text); err == nil && ref.Name() != want {
			t.Errorf("%q: Parse gives %q, want %q", text, ref.Name(), want)
		}
	}
}

func TestCanonicalRegistry(t *testing.T) {
	for host, want := range map[string]string{
		"Registry.Example.com": "registry.example.com", "registry.example.com:443": "registry.example.com", "registry.example.com:0443": "registry.example.com",
		"registry.example.com:5000": "registry.example.com:5000", "index.docker.io": "docker.io", "registry-1.docker.io:443": "docker.io", "[2001:DB8::443]": "[2001:db8::443]",
		"[::1]:443": "[::1]", "localhost": "localhost",
	} {
		if got := CanonicalRegistry(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
