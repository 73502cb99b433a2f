package server

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// hostile is a provider that lies as it is told.
type hostile struct {
	*httptest.Server
	key, other *rsa.PrivateKey
	now        func() time.Time

	mu     sync.Mutex
	lie    func(claims map[string]any, header map[string]string)
	forge  bool              // signs by a key that it does not publish
	nonces map[string]string // by code
	proofs map[string]string // the challenge of PKCE, by code
	down   bool
	// fault answers grants in the place of the provider; nil for none. quiet leaves the ID token out of
	// what a refresh token gives.
	fault http.HandlerFunc
	quiet bool
	// keyless answers a request for the keys with an error; keyed counts them, and kid names the key.
	keyless bool
	keyed   int
	kid     string
	// methods are how a client may say who it is; nil leaves that out. presented is how it did, of each
	// grant that came.
	methods, presented []string
	// refresh gives refresh tokens, each of which is good once; refreshed counts them.
	refresh   bool
	refreshed int
	good      string // the refresh token that is good
}

func encoded(value any) string {
	data, _ := json.Marshal(value)
	return base64.RawURLEncoding.EncodeToString(data)
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{now: time.Now, kid: "1", nonces: map[string]string{}, proofs: map[string]string{}}
	for _, key := range []**rsa.PrivateKey{&h.key, &h.other} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		*key = made
	}
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.down {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		said := map[string]any{"issuer": h.URL, "authorization_endpoint": h.URL + "/authorize", "token_endpoint": h.URL + "/token", "jwks_uri": h.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"}}
		if h.methods != nil {
			said["token_endpoint_auth_methods_supported"] = h.methods
		}
		answer(w, said)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.keyed++
		if h.keyless {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		answer(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": h.kid,
			"n": base64.RawURLEncoding.EncodeToString(h.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(h.key.E)).Bytes())}}})
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		h.mu.Lock()
		defer h.mu.Unlock()
		code := newSecret()
		h.nonces[code], h.proofs[code] = q.Get("nonce"), q.Get("code_challenge")
		http.Redirect(w, r, q.Get("redirect_uri")+"?code="+code+"&state="+url.QueryEscape(q.Get("state")), http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.presented = append(h.presented, presented(r))
		if h.fault != nil {
			h.fault(w, r)
			return
		}
		if h.down {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		given := map[string]any{"access_token": "x", "token_type": "Bearer"}
		if r.PostFormValue("grant_type") == "refresh_token" {
			if h.good == "" || r.PostFormValue("refresh_token") != h.good {
				h.good = "" // as RFC 9700 wants it: one that is used twice ends all
				refuse(w, http.StatusBadRequest, "invalid_grant")
				return
			}
			h.refreshed++
			h.good = newSecret()
			given["refresh_token"] = h.good
			if !h.quiet {
				given["id_token"] = h.token("")
			}
			answer(w, given)
			return
		}
		code := r.PostFormValue("code")
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if proof := h.proofs[code]; proof == "" || proof != base64.RawURLEncoding.EncodeToString(sum[:]) {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		delete(h.proofs, code)
		given["id_token"] = h.token(h.nonces[code])
		if h.refresh {
			h.good = newSecret()
			given["refresh_token"] = h.good
		}
		answer(w, given)
	})
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

// refuse answers a grant as RFC 6749 has it.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}

// presented is how a client says who it is.
func presented(r *http.Request) string {
	id, secret, basic := r.BasicAuth()
	switch {
	case basic:
		return "header " + id + " " + secret
	case r.PostFormValue("client_secret") != "":
		return "body " + r.PostFormValue("client_id") + " " + r.PostFormValue("client_secret")
	}
	return "public " + r.PostFormValue("client_id")
}

// token makes an ID token with the lie of now.
func (h *hostile) token(nonce string) string {
	claims := map[string]any{"iss": h.URL, "aud": "bailey", "sub": "ann", "nonce": nonce, "iat": h.now().Unix(), "exp": h.now().Add(time.Hour).Unix(),
		"email": "ann@example.com", "email_verified": true, "groups": []string{"dev"}}
	header := map[string]string{"alg": "RS256", "kid": h.kid}
	if h.lie != nil {
		h.lie(claims, header)
	}
	text := encoded(header) + "." + encoded(claims)
	key := h.key
	if h.forge {
		key = h.other
	}
	sum := sha256.Sum256([]byte(text))
	signature, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if header["alg"] == "none" {
		signature = nil
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
