package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwardedFor is the header in which a proxy says for whom it asks, as proxies use it; RFC 7239 has another.
const forwardedFor = "X-Forwarded-For"

// forwardedMost bounds how many addresses of it are looked at.
const forwardedMost = 32

// behind gives requests the address of who asks, where a trusted proxy hands them on: limits would
// otherwise be those of all who come through it.
func behind(trusted []net.IPNet, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			if who := client(trusted, peer.Addr(), r.Header.Values(forwardedFor)); who != peer.Addr() {
				again := *r
				again.RemoteAddr = netip.AddrPortFrom(who, 0).String()
				r = &again
			}
		}
		next.ServeHTTP(w, r)
	})
}

// client is the last address of the header that is none of a trusted proxy: what is before it anybody may
// have written. Where one cannot be read, it is the proxy that passed it on.
func client(trusted []net.IPNet, peer netip.Addr, header []string) netip.Addr {
	at := peer
	rest := strings.Join(header, ",")
	for range forwardedMost {
		if !among(trusted, at) || rest == "" {
			return at
		}
		last := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, last = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		next, err := hostOf(strings.TrimSpace(last))
		if err != nil {
			return at
		}
		at = next.WithZone("") // it is one of the proxy's, and text of any kind
	}
	return at
}

// hostOf reads an address, with a port or without.
func hostOf(text string) (netip.Addr, error) {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr(), nil
	}
	return netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
}

func among(list []net.IPNet, at netip.Addr) bool {
	for i := range list {
		if list[i].Contains(at.Unmap().AsSlice()) {
			return true
		}
	}
	return false
}
