package main

import (
	"net/url"
	"testing"
)

// TestPinTo: the token goes by itself to the address that the server wrote down, and to no other
// of this machine at the same port, where another user may listen.
func TestPinTo(t *testing.T) {
	for _, c := range []struct{ wrote, asked, goes string }{
		{"http://127.0.0.1:8470", "http://127.0.0.1:8470", "127.0.0.1:8470"},
		{"http://127.0.0.1:8470", "http://localhost:8470", "127.0.0.1:8470"},
		{"http://[::1]:8470", "http://localhost:8470", "[::1]:8470"},
		{"https://[::]:8443", "https://localhost:8443", "127.0.0.1:8443"},
		{"https://0.0.0.0:443", "https://127.0.0.1", ""},
		{"http://127.0.0.1:8470", "http://[::1]:8470", ""},
		{"http://127.0.0.1:8470", "http://127.0.0.2:8470", ""},
		{"http://127.0.0.1:8470", "http://127.0.0.1:8471", ""},
		{"http://127.0.0.1:8470", "https://127.0.0.1:8470", ""},
		{"https://10.0.0.1:8443", "https://localhost:8443", ""},
		{"", "http://localhost:8470", ""},
		{"nonsense", "http://localhost:8470", ""},
	} {
		base, err := url.Parse(c.asked)
		if err != nil {
			t.Fatal(err)
		}
		if is := pinTo(c.wrote, base); is != (c.goes != "") || is && base.Host != c.goes {
			t.Errorf("%s wrote %q: %t, %s, want %q", c.asked, c.wrote, is, base.Host, c.goes)
		}
	}
}
