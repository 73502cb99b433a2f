package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/baileyhq/bailey/server"
)

// loginBody is the page to log in.
type loginBody struct {
	Next     string
	Problem  string
	Link     string // of a one-time link that waits to be used
	Tokens   bool
	Audience string
	Provider string // of OpenID Connect; empty if there is none
	Down     bool   // it does not answer, or did not the last time
}

// login shows the form. A one-time link asks for a click first: programs that look at links
// in mail and chat open them too, and would use it up.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	if !server.WhoAsks(r.Context()).Anonymous() {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	s.showLogin(w, r, http.StatusOK, loginBody{Next: next, Link: r.URL.Query().Get("link")})
}

func (s *site) showLogin(w http.ResponseWriter, r *http.Request, status int, body loginBody) {
	body.Tokens, body.Audience = s.Front.Tokens != nil, server.Audience
	if o := s.Front.OIDC; o != nil {
		body.Provider, body.Down = o.Name(), body.Down || o.Failed() != nil
	}
	p := s.newPage(r, server.Who{})
	p.Title, p.Body, p.Path, p.Query = "Log in", body, "/login", nil
	if err := s.write(w, status, "login", p); err != nil {
		s.Log.Error("a page failed", "path", r.URL.Path, "error", err)
		http.Error(w, "this failed here; the server's log says why", http.StatusInternalServerError)
	}
}

// logInByToken takes the form: a one-time link's secret, or a token.
func (s *site) logInByToken(w http.ResponseWriter, r *http.Request) {
	next := local(r.PostFormValue("next"))
	if link := r.PostFormValue("link"); link != "" {
		switch err := s.Front.LogInByLink(w, r, link); {
		case err == nil:
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		case errors.Is(err, server.ErrTooMany):
			s.tooMany(w, r, next)
			return
		case errors.Is(err, server.ErrCrowded):
			s.busy(w, r, next)
			return
		case errors.Is(err, server.ErrUnkept):
			s.unkept(w, r, loginBody{Next: next, Link: link}, err)
			return
		}
		s.showLogin(w, r, http.StatusUnauthorized, loginBody{Next: next, Problem: "This link was used before, or is too old. Start Bailey again, or ask it for another."})
		return
	}
	err := s.Front.LogInByToken(w, r, strings.TrimSpace(r.PostFormValue("token")))
	switch {
	case err == nil:
		http.Redirect(w, r, next, http.StatusSeeOther)
	case errors.Is(err, server.ErrTooMany):
		s.tooMany(w, r, next)
	case errors.Is(err, server.ErrCrowded): // no line of the log for each of a flood
		s.busy(w, r, next)
	case errors.Is(err, server.ErrUnknownToken):
		s.showLogin(w, r, http.StatusUnauthorized, loginBody{Next: next, Problem: "The token is not accepted: it may have expired, or be for another audience."})
	case errors.Is(err, server.ErrUnkept):
		s.unkept(w, r, loginBody{Next: next}, err)
	default:
		s.Log.Error("a token could not be checked", "error", err)
		s.showLogin(w, r, http.StatusServiceUnavailable, loginBody{Next: next, Problem: "The cluster does not answer, so the token could not be checked. Try again in a moment."})
	}
}

func (s *site) tooMany(w http.ResponseWriter, r *http.Request, next string) {
	s.showLogin(w, r, http.StatusTooManyRequests, loginBody{Next: next, Problem: "Too many wrong tokens came from your address, so this one was not looked at. Wait a minute, and try again."})
}

func (s *site) busy(w http.ResponseWriter, r *http.Request, next string) {
	w.Header().Set("Retry-After", "1")
	s.showLogin(w, r, http.StatusServiceUnavailable, loginBody{Next: next, Problem: "Many others log in right now, so this was not looked at. Try again in a moment."})
}

// unkept says that a login was good, and could not be kept.
func (s *site) unkept(w http.ResponseWriter, r *http.Request, body loginBody, err error) {
	s.Log.Error("a login could not be kept", "error", err)
	body.Problem = "The database does not take the login. Try again in a moment."
	s.showLogin(w, r, http.StatusServiceUnavailable, body)
}

// beginOIDC sends to the identity provider. It is a link, not a form: the policy of contents
// lets no form lead elsewhere.
func (s *site) beginOIDC(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	if err := s.Front.BeginOIDC(w, r, next); err != nil {
		s.oidcFailed(w, r, next, err)
	}
}

// endOIDC takes who comes back from there.
func (s *site) endOIDC(w http.ResponseWriter, r *http.Request) {
	next, err := s.Front.EndOIDC(w, r)
	if err != nil {
		s.oidcFailed(w, r, next, err)
		return
	}
	http.Redirect(w, r, local(next), http.StatusSeeOther)
}

func (s *site) oidcFailed(w http.ResponseWriter, r *http.Request, next string, err error) {
	if errors.Is(err, server.ErrUnkept) {
		s.unkept(w, r, loginBody{Next: local(next)}, err)
		return
	}
	s.Log.Warn("a login by the identity provider failed", "error", err)
	body, status := loginBody{Next: local(next)}, http.StatusUnauthorized
	switch {
	case errors.Is(err, server.ErrFlow):
		body.Problem = "This login took too long, was used before, or was begun in another browser or at another address. Begin again."
	case errors.Is(err, server.ErrRefused):
		body.Problem = "The login was refused: by the identity provider, or because what it says of you is not accepted. The server’s log says why."
	default:
		body.Down, status = true, http.StatusServiceUnavailable
	}
	s.showLogin(w, r, status, body)
}

func (s *site) logOut(w http.ResponseWriter, r *http.Request) {
	if err := s.Front.LogOut(w, r); err != nil {
		s.Log.Error("a logout could not be kept", "error", err)
		s.showLogin(w, r, http.StatusServiceUnavailable, loginBody{Next: "/", Problem: "You are still logged in: the database does not take the logout. Go back, and try again in a moment."})
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
