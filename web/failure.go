package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/baileyhq/bailey/server"
)

// failure is a page that says why there is no other.
type failure struct {
	Status int
	What   string
	// Group is the API group of the rules that grant, on the page about what is forbidden.
	Group, Audience string
}

// fail shows why a page cannot be shown. What is nobody's business stays in the log.
func (v *visit) fail(err error) {
	f := failure{Group: server.Group, Audience: server.Audience}
	name, title := "failed", ""
	switch {
	case errors.Is(err, server.ErrLogIn):
		http.Redirect(v.w, v.r, "/login?next="+url.QueryEscape(v.page.Here()), http.StatusSeeOther)
		return
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, errNoTable):
		title, f.Status, f.What = "There is no table here", http.StatusNotAcceptable, err.Error()
	case errors.Is(err, server.ErrForbidden):
		name, title, f.Status = "forbidden", "You may not see this", http.StatusForbidden
	case errors.Is(err, server.ErrNotFound):
		name, title, f.Status = "notfound", "There is no such page", http.StatusNotFound
	case errors.Is(err, server.ErrUnavailable):
		title, f.Status = "The data does not answer now", http.StatusServiceUnavailable
		v.w.Header().Set("Retry-After", "5")
		v.site.Log.Error("a page could not be shown", "path", v.r.URL.Path, "error", err)
	case errors.Is(err, server.ErrBadInput), errors.Is(err, server.ErrCursor):
		title, f.Status, f.What = "This could not be taken", http.StatusBadRequest, err.Error()
	default:
		title, f.Status = "This failed here", http.StatusInternalServerError
		v.site.Log.Error("a page failed", "path", v.r.URL.Path, "error", err)
	}
	if v.wantsCSV() { // whoever wants a file reads no page
		http.Error(v.w, cmp.Or(f.What, title), f.Status)
		return
	}
	if err := v.showAs(f.Status, name, "", title, f); err != nil {
		v.site.Log.Error("the page about a failure failed", "error", err)
		http.Error(v.w, "this failed here; the server's log says why", http.StatusInternalServerError)
	}
}
