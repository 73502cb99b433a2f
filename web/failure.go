package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey/server"
)

// failure is a page that says why there is no other.
type failure struct {
	Status   int
	What     string
	Audience string
	// Rule is a Role or ClusterRole that would grant what is forbidden, and Whole tells that it is the latter.
	Rule  string
	Whole bool
}

// fail shows why a page cannot be shown. What is nobody's business stays in the log.
func (v *visit) fail(err error) {
	f := failure{Audience: server.Audience}
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
		f.Rule, f.Whole = v.rule()
	case errors.Is(err, server.ErrNotFound):
		name, title, f.Status = "notfound", "There is no such page", http.StatusNotFound
	case errors.Is(err, server.ErrUnavailable):
		title, f.Status = "The data does not answer now", http.StatusServiceUnavailable
		v.w.Header().Set("Retry-After", "5")
		v.site.Log.Error("a page could not be shown", "path", v.r.URL.Path, "error", err)
	case errors.Is(err, server.ErrBadInput), errors.Is(err, server.ErrCursor):
		title, f.Status, f.What = "This cannot be taken", http.StatusBadRequest, strings.TrimLeft(strings.TrimPrefix(err.Error(), server.ErrBadInput.Error()), ": \n")
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

// rule gives what would grant the page that is refused: to who sees nothing the reports of one namespace, to others what
// it wants of the whole cluster.
func (v *visit) rule() (text string, whole bool) {
	right, cluster := v.lacks, v.r.URL.Query().Get("cluster")
	switch {
	case right != (server.Right{}):
	case v.page.Tenant || cluster == "":
		right = server.ReadReports
	default:
		right = server.ReadCluster(cluster)
	}
	whole = right != server.ReadReports || v.page.Tenant
	kind, name := "ClusterRole", "\n  name: bailey-"+right.Verb+"-"+right.Resource
	if !whole {
		kind, name = "Role", name+"\n  namespace: NAMESPACE"
	}
	text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata:" + name + "\nrules:\n- apiGroups: [" + server.Group + "]\n  resources: [" + right.Resource + "]"
	if right.Name != "" {
		text += "\n  resourceNames: [" + strconv.Quote(right.Name) + "]"
	}
	return text + "\n  verbs: [" + right.Verb + "]", whole
}
