package web

import (
	"net/http"
	"strings"
	"time"
)

const (
	themeCookie = "theme"
	themeKept   = 365 * 24 * time.Hour
)

// setTheme keeps the choice of light, dark or the system's in a cookie, without a script.
func (s *site) setTheme(w http.ResponseWriter, r *http.Request) {
	c := &http.Cookie{Name: themeCookie, Path: "/", HttpOnly: true, Secure: s.Front.Secure, SameSite: http.SameSiteLaxMode}
	switch choice := r.PostFormValue("theme"); choice {
	case "light", "dark":
		c.Value, c.MaxAge = choice, int(themeKept/time.Second)
	default:
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
	http.Redirect(w, r, local(r.PostFormValue("back")), http.StatusSeeOther)
}

// local gives an address if it is one of this site, and the first page if not: nobody is sent
// elsewhere by a link that somebody made up.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}
