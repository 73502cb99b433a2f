package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// page is what every template is given: the frame's data, and Body of the page itself.
type page struct {
	Title   string
	Section string // which entry of the navigation is the current one
	Assets  string
	Version string
	Theme   string // light, dark, or empty for the system's
	Path    string
	Query   url.Values
	Now     time.Time

	Asker    string
	Local    bool
	Tenant   bool // sees some namespaces only
	Sees     []string
	Can      abilities
	Cluster  server.ClusterInfo
	Clusters []server.ClusterInfo
	// Sight says how current what is kept of the cluster is; nil where no cluster is seen.
	Sight *server.Sight
	Away  bool // the API server does not answer: what may be seen is remembered

	// order is how the page's table is sorted, and usual how it is unless asked otherwise.
	order, usual string

	// bare are objects that are named, and have no page.
	bare map[bailey.Ref]bool

	Stream  string // the kinds of news that bring this page up to date, separated by spaces
	Refresh int    // seconds, for browsers without JavaScript; 0 for never
	Body    any
}

// abilities are what whoever asks may do.
type abilities struct{ Run, Isolate, Waive, Plan, Ledger bool }

func (s *site) newPage(r *http.Request, who server.Who) *page {
	p := &page{Assets: s.assets.prefix, Version: s.Version, Path: r.URL.Path, Query: r.URL.Query(), Now: s.Now(), Local: who.Local, Asker: who.Name}
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		p.Theme = c.Value
	}
	return p
}

// HowIsolated says how a server comes to run experiments that make objects of their own.
func (p *page) HowIsolated() string { return server.HowIsolated }

// section is one entry of the navigation, and group several under a heading.
type (
	section struct{ Name, Path, Icon, Title string }
	group   struct {
		Title    string
		Sections []section
	}
)

// navigation lists all pages that the navigation leads to. Pages to come get a line here.
var navigation = []group{
	{"See", []section{
		{"clusters", "/clusters", "cluster", "Clusters"},
		{"overview", "/", "wall", "Overview"},
		{"findings", "/findings", "finding", "Findings"},
		{"workloads", "/workloads", "workload", "Workloads"},
		{"namespaces", "/namespaces", "namespace", "Namespaces"},
	}},
	{"Prove", []section{
		{"experiments", "/experiments", "experiment", "Experiments"},
		{"runs", "/runs", "run", "Runs"},
		{"ledger", "/ledger", "ledger", "Ledger"},
	}},
	{"Act", []section{
		{"alerts", "/alerts", "alert", "Alerts"},
		{"waivers", "/waivers", "waiver", "Waivers"},
		{"enforce", "/enforce", "enforce", "Enforce"},
		{"activity", "/activity", "activity", "Activity"},
	}},
}

// Navigation is what whoever asks can open.
func (p *page) Navigation() []group {
	var open []group
	for _, g := range navigation {
		g.Sections = slices.DeleteFunc(slices.Clone(g.Sections), func(s section) bool {
			return s.Name == "ledger" && !p.Can.Ledger || s.Name == "enforce" && !p.Can.Plan || s.Name == "activity" && p.Tenant || s.Name == "clusters" && len(p.Clusters) < 2
		})
		open = append(open, g)
	}
	return open
}

// Watched reports whether the shown cluster is the one that this server watches, or none is shown. Of another, runs, waivers and
// the ledger are with the server that watches it, which pushes none of them.
func (p *page) Watched() bool { return p.Cluster.Own || p.Cluster.UID == "" }

// nearClusters is how many clusters the chooser of each page names at most: of a fleet they would be a third of the page.
const nearClusters = 20

// Near are the clusters that the chooser names: the shown one, and the first of the others. All have a page, and are
// found by name.
func (p *page) Near() []server.ClusterInfo {
	if len(p.Clusters) <= nearClusters {
		return p.Clusters
	}
	near := slices.Clone(p.Clusters[:nearClusters])
	if !slices.ContainsFunc(near, func(c server.ClusterInfo) bool { return c.UID == p.Cluster.UID }) {
		near[nearClusters-1] = p.Cluster
	}
	return near
}

// Href is the address of a page of the shown cluster, with parameters in pairs; those that
// are empty are left out.
func (p *page) Href(path string, pairs ...any) string {
	q := url.Values{}
	if !p.Watched() {
		q.Set("cluster", p.Cluster.UID)
	}
	set(q, pairs)
	return address(path, q)
}

// With is the address of the shown view with other parameters, from its first page on.
func (p *page) With(pairs ...any) string {
	q := url.Values{}
	for k, v := range p.Query {
		if k != "cursor" && k != "at" && k != "back" && len(v) > 0 && v[0] != "" {
			q.Set(k, v[0])
		}
	}
	set(q, pairs)
	return address(p.Path, q)
}

// Here is the shown view's own address.
func (p *page) Here() string { return address(p.Path, p.Query) }

func set(q url.Values, pairs []any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i].(string), plain(pairs[i+1])
		if value == "" {
			q.Del(name)
		} else {
			q.Set(name, value)
		}
	}
}

func address(path string, q url.Values) string {
	u := url.URL{Path: path}
	if len(q) == 0 {
		return u.EscapedPath()
	}
	return u.EscapedPath() + "?" + q.Encode()
}

// link is something named, with the page about it.
type link struct{ Kind, Namespace, Name, Href string }

// Obj is an object with its page.
func (p *page) Obj(o server.Object) link {
	return link{shortKind(o.Kind), o.Namespace, o.Name, p.objectHref(o.Ref())}
}

// Home is the namespace that an object belongs to; empty if there is no object.
func (p *page) Home(o *server.Object) string {
	switch {
	case o == nil:
		return ""
	case o.Kind == bailey.KindNamespace:
		return o.Name
	}
	return o.Namespace
}

// Of is a scope with its page.
func (p *page) Of(s bailey.Scope) link {
	switch {
	case s.Kind == bailey.ScopeCluster || s.Kind == bailey.ScopeRepository:
		return link{Name: string(s.Kind)}
	case s.Kind == bailey.ScopeNamespace:
		return link{"namespace", "", s.Object.Name, p.Href("/findings", "namespace", s.Object.Name)}
	}
	return link{shortKind(s.Object.Kind), s.Object.Namespace, s.Object.Name, p.objectHref(s.Object)}
}

// lookUp finds out which of the objects that a page names have a page of their own.
func (v *visit) lookUp(objects ...server.Object) error {
	refs := make([]bailey.Ref, len(objects))
	for i, o := range objects {
		refs[i] = o.Ref()
	}
	var err error
	v.page.bare, err = v.site.Desk.Lacks(v.r.Context(), v.ask, refs)
	return err
}

// noNamespace stands in addresses for an object that belongs to none.
const noNamespace = "_"

func (p *page) objectHref(ref bailey.Ref) string {
	if p.bare[ref] {
		return ""
	}
	ns := ref.Namespace
	if ns == "" {
		ns = noNamespace
	}
	path := "/objects/" + url.PathEscape(string(ref.Kind)) + "/" + url.PathEscape(ns) + "/" + url.PathEscape(ref.Name)
	if q := p.Href(""); q != "" {
		return path + q
	}
	return path
}

// show writes the page with a template.
func (v *visit) show(name, sect, title string, body any) error {
	return v.showAs(http.StatusOK, name, sect, title, body)
}

func (v *visit) showAs(status int, name, sect, title string, body any) error {
	if status == http.StatusOK && v.wantsCSV() {
		return errNoTable
	}
	v.page.Section, v.page.Title, v.page.Body = sect, title, body
	return v.site.write(v.w, status, name, v.page)
}

func (s *site) write(w http.ResponseWriter, status int, name string, p *page) error {
	var out bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&out, "frame", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Cookie")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
	return nil
}
