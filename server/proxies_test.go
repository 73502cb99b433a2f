package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func networks(t testing.TB, list ...string) (all []net.IPNet) {
	t.Helper()
	for _, text := range list {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *network)
	}
	return all
}

// TestTrustedProxies: who asks is told by trusted proxies alone, and nobody chooses it for themselves.
func TestTrustedProxies(t *testing.T) {
	trusted := networks(t, "10.0.0.0/8", "fd00::/8")
	for name, c := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"nobody is asked for":            {"10.0.0.1:1", nil, "10.0.0.1"},
		"one proxy":                      {"10.0.0.1:1", []string{"203.0.113.7"}, "203.0.113.7"},
		"one proxy, and a lie before":    {"10.0.0.1:1", []string{"127.0.0.1, 203.0.113.7"}, "203.0.113.7"},
		"two proxies, in two headers":    {"10.0.0.1:1", []string{"127.0.0.1, 203.0.113.7", "10.2.0.1"}, "203.0.113.7"},
		"one that is not trusted":        {"198.51.100.1:1", []string{"203.0.113.7"}, "198.51.100.1"},
		"with a port":                    {"10.0.0.1:1", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		"of IPv6, with brackets":         {"[fd00::1]:1", []string{"[2001:db8::7]:80"}, "2001:db8::7"},
		"of IPv4, in IPv6":               {"[::ffff:10.0.0.1]:1", []string{"203.0.113.7"}, "203.0.113.7"},
		"all are trusted":                {"10.0.0.1:1", []string{"10.3.0.1,10.2.0.1"}, "10.3.0.1"},
		"what is no address":             {"10.0.0.1:1", []string{"203.0.113.7, unknown"}, "10.0.0.1"},
		"what is no address, further on": {"10.0.0.1:1", []string{"<script>, 10.2.0.1"}, "10.2.0.1"},
		"a comma alone":                  {"10.0.0.1:1", []string{","}, "10.0.0.1"},
	} {
		var got netip.Prefix
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header[forwardedFor] = c.header
		behind(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = address(r) })).ServeHTTP(httptest.NewRecorder(), r)
		want := address(&http.Request{RemoteAddr: net.JoinHostPort(c.want, "1")})
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// Each who comes through the proxy has limits of their own.
	limits := &limits{}
	allowed := func(who string) bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set(forwardedFor, who)
		ok := false
		behind(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ok = limits.allow(address(r), time.Unix(0, 0)) })).ServeHTTP(httptest.NewRecorder(), r)
		return ok
	}
	for n := 0; allowed("203.0.113.7"); n++ {
		if n > 100_000 {
			t.Fatal("there is no limit")
		}
	}
	if !allowed("203.0.113.8") {
		t.Error("what one does counts for another who comes through the same proxy")
	}
}

func FuzzTrustedProxies(f *testing.F) {
	f.Add("127.0.0.1, 203.0.113.7")
	f.Add("[2001:db8::7]:80,10.0.0.2")
	trusted := networks(f, "10.0.0.0/8")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, header string) {
		got := client(trusted, peer, []string{header})
		if !got.IsValid() {
			t.Fatal("nobody asks")
		}
		if again := client(trusted, peer, []string{"192.0.2.1", header}); !among(trusted, got) && again != got {
			t.Fatalf("%s asks, and %s where more is written before", got, again)
		}
	})
}
