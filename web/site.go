// Package web is the dashboard: pages that the server renders, which work without JavaScript
// and better with it. Everything they need is compiled in; nothing is fetched from elsewhere,
// and no script or style is inline.
package web

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// Options are what the dashboard is made of.
type Options struct {
	Desk Desk
	// Ask says what whoever a request is from may see of a cluster; server.AskOf.
	Ask func(ctx context.Context, cluster string) (server.Ask, error)
	// Controls is the catalogue.
	Controls []*bailey.Control
	Rights   server.Rights
	// Away tells that the API server, asked for rights, does not answer; nil where it is not asked.
	Away  func() bool
	Front *server.Front
	// Run begins experiments and gives the run's ID; nil where none are run here.
	Run func(ctx context.Context, by string, order server.RunOrder) (id string, err error)
	// Propose says what a run of an experiment would try; nil where none are run here.
	Propose func(ctx context.Context, control, experiment string) (server.Proposal, error)
	// Isolated tells that runs may make namespaces and objects of their own here.
	Isolated bool
	// Stop stops a run; nil where none are run here.
	Stop func(ctx context.Context, by, id string) error
	// Ledger gives entries of the ledger; nil where none is kept.
	Ledger func(ctx context.Context, filter server.LedgerFilter) (server.LedgerPage, error)
	// Gate says what the gate does that runs beside the server, nil before it does; nil where none will.
	Gate    func() *server.GateState
	Version string
	Log     *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

type site struct {
	Options
	pages  pages
	assets *assets
}

// New gives the handler of all pages. Front stands before it.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{Options: o, assets: readAssets()}
	s.pages = parsePages()
	mux := http.NewServeMux()
	mux.Handle("GET "+s.assets.prefix, s.assets)
	handle := func(entries map[string]entry) {
		for pattern, e := range entries {
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { e(s, w, r) })
		}
	}
	handle(entries)
	if o.Front.OIDC != nil {
		handle(providerEntries)
	}
	for pattern, a := range answers {
		mux.Handle(pattern, s.answering(a))
	}
	return mux
}

// Routes lists the patterns of all that a site answers, sorted, as net/http.ServeMux has them. Below
// server.StaticPath every version has a folder of its own.
func Routes() []string {
	all := []string{"GET " + server.StaticPath}
	return slices.Sorted(slices.Values(slices.Concat(all, slices.Collect(maps.Keys(entries)), slices.Collect(maps.Keys(providerEntries)), slices.Collect(maps.Keys(answers)))))
}

// entry is what is answered to anybody.
type entry func(s *site, w http.ResponseWriter, r *http.Request)

var (
	entries = map[string]entry{
		"GET " + server.LogInPath:   (*site).login,
		"POST " + server.LogInPath:  (*site).logInByToken,
		"POST " + server.LogOutPath: (*site).logOut,
		"POST /theme":               (*site).setTheme,
	}
	// providerEntries are there where an identity provider logs people in.
	providerEntries = map[string]entry{
		"GET " + server.LogInPath + "/oidc": (*site).beginOIDC,
		"GET " + server.CallbackPath:        (*site).endOIDC,
	}
	// answers are given to those who may see something.
	answers = map[string]answer{
		"GET /{$}":                                 (*site).overview,
		"GET /changes":                             (*site).changes,
		"GET /controls/{area}/{name}":              (*site).control,
		"GET /controls/{area}/{name}/scopes":       (*site).scopes,
		"GET /findings":                            (*site).findings,
		"GET /findings/{id}":                       (*site).finding,
		"GET /workloads":                           (*site).workloads,
		"GET /objects/{kind}/{ns}/{object}":        (*site).object,
		"GET /namespaces":                          (*site).namespaces,
		"GET /experiments":                         (*site).experiments,
		"GET /experiments/{area}/{control}/{name}": (*site).experiment,
		"GET /runs":                                (*site).runs,
		"POST /runs":                               (*site).beginRun,
		"GET /runs/{id}":                           (*site).run,
		"POST /runs/{id}/stop":                     (*site).stopRun,
		"GET /ledger":                              (*site).ledger,
		"GET /alerts":                              (*site).alerts,
		"GET /waivers":                             (*site).waivers,
		"GET /waivers/new":                         (*site).newWaiver,
		"POST /waivers":                            (*site).addWaiver,
		"GET /waivers/{id}/extend":                 (*site).longerWaiver,
		"POST /waivers/{id}/extend":                (*site).extendWaiver,
		"POST /waivers/{id}/end":                   (*site).endWaiver,
		"GET /enforce":                             (*site).enforce,
		"GET /enforce/{area}/{control}/{guard}":    (*site).guard,
		"GET /activity":                            (*site).activity,
		"GET /clusters":                            (*site).clusters,
		"GET /search":                              (*site).search,
		"/":                                        (*site).nowhere,
	}
)

// answer is what a page does: it shows a view, or says why not.
type answer func(s *site, v *visit) error

// visit is one request for a page by somebody who may see something.
type visit struct {
	site *site
	w    http.ResponseWriter
	r    *http.Request
	who  server.Who
	ask  server.Ask
	page *page
	// lacks is the right for want of which the page is refused, if that is known.
	lacks server.Right
}

func (s *site) answering(a answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{site: s, w: w, r: r, who: server.WhoAsks(r.Context())}
		v.page = s.newPage(r, v.who)
		err := v.enter()
		if err == nil {
			err = a(s, v)
		}
		if errors.Is(err, server.ErrForbidden) {
			v.refused()
		}
		if err != nil {
			v.fail(err)
		}
	})
}

// acts are the forms that do something, by their patterns, as they are kept.
var acts = map[string]string{
	"POST /waivers":             server.ActAddWaiver,
	"POST /waivers/{id}/extend": server.ActExtendWaiver,
	"POST /waivers/{id}/end":    server.ActEndWaiver,
	"POST /runs":                server.ActOrderRun,
	"POST /runs/{id}/stop":      server.ActStopRun,
}

// refused keeps that somebody may not do what a form asks for; pages that may not be seen are no act.
func (v *visit) refused() {
	action := acts[v.r.Pattern]
	if action == "" {
		return
	}
	target := v.r.PathValue("id")
	switch action {
	case server.ActAddWaiver:
		target = v.r.PostFormValue("rule")
	case server.ActOrderRun:
		target = v.order().String()
	}
	v.site.Desk.Refused(v.r.Context(), v.ask, v.by(), action, target)
}

// enter finds out what may be seen, and of which clusters.
func (v *visit) enter() error {
	ctx := v.r.Context()
	cluster := v.r.URL.Query().Get("cluster")
	ask, refused := v.site.Ask(ctx, cluster)
	if refused != nil && !errors.Is(refused, server.ErrForbidden) {
		return refused
	}
	v.ask = ask
	p := v.page
	var err error
	if p.Clusters, err = v.site.Desk.Clusters(ctx, ask); err != nil {
		return err
	}
	if refused != nil && (cluster != "" || len(p.Clusters) == 0) {
		return refused
	}
	for _, c := range p.Clusters {
		if c.UID == cluster || cluster == "" && c.Own {
			p.Cluster = c
		}
	}
	if p.Cluster.UID == "" && len(p.Clusters) > 0 {
		if cluster != "" {
			return server.ErrNotFound
		}
		// The server's own is not seen, by this person or at all: the first that may be is shown.
		p.Cluster = p.Clusters[0]
		if v.ask, err = v.site.Ask(ctx, p.Cluster.UID); err != nil {
			return err
		}
	}
	p.Can = abilities{
		Run:     p.Watched() && v.may(server.RunExperiments) && v.site.Run != nil,
		Isolate: v.site.Isolated,
		Waive:   p.Watched() && v.may(server.WriteWaivers),
		Plan:    v.ask.Guards,
		Ledger:  p.Watched() && v.may(server.ReadLedger),
	}
	p.Tenant = !v.ask.Sees.All
	p.Sees = v.ask.Sees.Names
	if v.nobodySeen() {
		return nil
	}
	sight, err := v.site.Desk.SightOf(ctx, v.ask)
	p.Sight, p.Away = &sight, v.site.Away != nil && v.site.Away()
	return err
}

// may reports whether a right is granted for the whole cluster. What cannot be told is not.
func (v *visit) may(right server.Right) bool {
	allowed, err := v.site.Rights.May(v.r.Context(), v.who, right, "")
	if err != nil && v.r.Context().Err() == nil { // else whoever asked has left
		v.site.Log.Error("a right could not be asked for", "error", err)
	}
	return err == nil && allowed
}

// mustMay fails unless a right is granted.
func (v *visit) mustMay(right server.Right) error {
	if !v.may(right) {
		return v.forbid(right)
	}
	return nil
}

// by is who acts, for the record.
func (v *visit) by() string {
	if v.who.Name == "" {
		return "the administrator of this machine"
	}
	return v.who.Name
}

func (v *visit) nobodySeen() bool { return len(v.page.Clusters) == 0 }

func (*site) nowhere(*visit) error { return server.ErrNotFound }

// forbid is the failure for want of a right.
func (v *visit) forbid(right server.Right) error {
	v.lacks = right
	return server.ErrForbidden
}
