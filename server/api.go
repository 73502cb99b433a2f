package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// The errors that pages and endpoints tell apart.
var (
	// ErrNotFound tells that there is no such thing, or that it may not be seen.
	ErrNotFound = store.ErrNotFound
	// ErrUnavailable tells that the store does not answer now.
	ErrUnavailable = store.ErrUnavailable
	// ErrCursor tells that a cursor is none of the page's.
	ErrCursor = store.ErrCursor
	// ErrBadInput tells that what was sent cannot be taken; its text says why.
	ErrBadInput = errors.New("this cannot be taken")
)

// API answers under /api/v1.
type API struct {
	Version string
	Desk    *Desk
	Rights  Rights
	News    *News
	// Report gives the newest whole report as `bailey scan -o json` writes it; nil where this
	// server watches no cluster.
	Report func(w http.ResponseWriter, r *http.Request)
	// Run begins experiments; nil where none are run here.
	Run func(ctx context.Context, by string, o RunOrder) (id string, err error)
	// Proposer says what experiments would try; nil where none are run here.
	Proposer *Proposer
	// Stop stops a run; nil where none are run here.
	Stop func(ctx context.Context, by, id string) error
	// Book is the ledger; nil where none is kept.
	Book *Book
	// Stopping is closed when the server ends: streams end with it.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// RunOrder says which experiments to run.
type RunOrder struct {
	Controls []string `json:"controls" doc:"IDs of controls; all if empty" maxItems:"46"`
	// Experiment is the only one to run, of the only control.
	Experiment string `json:"experiment,omitempty" doc:"name of the only experiment to run, of the only control named" maxLength:"128"`
	// Isolated also runs those that make namespaces and objects of their own.
	Isolated bool `json:"isolated,omitempty" doc:"also those that make namespaces and objects of their own"`
	// Scheduled tells that nobody watches the run, which no order says.
	Scheduled bool `json:"-"`
}

// Handler gives the endpoints; Front stands before it.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	api := a.register(mux)
	spec, err := api.OpenAPI().MarshalJSON()
	if err != nil {
		panic("server: the OpenAPI document: " + err.Error()) // types that are compiled in
	}
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(spec)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "there is no "+r.Method+" "+r.URL.Path+"\nhint: GET /api/v1/openapi.json lists what there is", http.StatusNotFound)
	})
	return tagged(mux)
}

// OpenAPI gives the OpenAPI 3.1 document of the endpoints, as JSON.
func (a *API) OpenAPI() ([]byte, error) {
	return a.register(http.NewServeMux()).OpenAPI().MarshalJSON()
}

func (a *API) register(mux *http.ServeMux) huma.API {
	config := huma.DefaultConfig("Bailey", a.Version)
	config.CreateHooks, config.DocsPath, config.SchemasPath, config.OpenAPIPath = nil, "", "", ""
	config.RejectUnknownQueryParameters = true
	config.Info.Description = "Checks, proofs and history of Kubernetes clusters. Every answer holds what the asker may see: " +
		"RBAC rules of the cluster for the API group " + Group + " decide."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "a Kubernetes token (audience " + Audience + ") or an ID token of the configured issuer"},
		"session": {Type: "apiKey", In: "cookie", Name: "__Host-bailey"},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	api := humago.New(mux, config)
	a.reading(api)
	a.listing(api)
	a.ledgerReading(api)
	a.writing(api)
	a.streaming(mux, api)
	return api
}

// streaming registers what answers by itself, because it streams, or gives a file.
func (a *API) streaming(mux *http.ServeMux, api huma.API) {
	describe := func(path, id, summary, contentType string) {
		o := reads(path, id, summary)
		o.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{contentType: {}}}}
		for _, code := range o.Errors {
			o.Responses[strconv.Itoa(code)] = &huma.Response{Description: http.StatusText(code), Content: map[string]*huma.MediaType{"text/plain": {}}}
		}
		for _, m := range parameters.FindAllStringSubmatch(path, -1) {
			o.Parameters = append(o.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
		api.OpenAPI().AddOperation(&o)
	}
	describe("/events", "streamEvents", "What happens, as it happens", "text/event-stream")
	mux.HandleFunc("GET /api/v1/events", a.events)
	describe("/report", "getReport", "The newest whole report, as bailey scan -o json writes it, for who sees everything", "application/json")
	mux.HandleFunc("GET /api/v1/report", a.report)
	describe("/ledger/tile/{tile}", "getLedgerTile", "A tile or bundle of entries of the ledger (C2SP tlog-tiles); its name has slashes", "application/octet-stream")
	mux.HandleFunc("GET /api/v1/ledger/tile/", a.tile)
}

// parameters are those of a path.
var parameters = regexp.MustCompile(`\{([a-z]+)\}`)

// Asking is what every question of an endpoint bears.
type Asking struct {
	Cluster string `query:"cluster" doc:"UID of the cluster; the server's own if empty" maxLength:"128"`
}

// body is an answer.
type body[T any] struct{ Body T }

// read registers an endpoint that reads.
func read[In, Out any](a *API, api huma.API, path, id, summary string, asks func(*In) *Asking, answer func(ctx context.Context, ask Ask, in *In) (Out, error)) {
	huma.Register(api, reads(path, id, summary),
		func(ctx context.Context, in *In) (*body[Out], error) {
			ask, err := a.ask(ctx, asks(in).Cluster)
			if err != nil {
				return nil, err
			}
			out, err := answer(ctx, ask, in)
			if err != nil {
				return nil, a.fail(err)
			}
			return &body[Out]{out}, nil
		})
}

func reads(path, id, summary string) huma.Operation {
	return huma.Operation{Method: http.MethodGet, Path: "/api/v1" + path, OperationID: id, Summary: summary,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable}}
}

// clusters lists those that whoever asks may see something of; an error if there is none.
func (a *API) clusters(ctx context.Context, in *plainQuestion) (*body[paged[ClusterInfo]], error) {
	ask, refused := AskOf(ctx, a.Desk, a.Rights, in.Cluster)
	if refused != nil && !errors.Is(refused, ErrForbidden) {
		return nil, a.fail(refused)
	}
	all, err := a.Desk.Clusters(ctx, ask)
	if err == nil && len(all) == 0 {
		err = refused
	}
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := pageOf(all, "", nil)
	return &body[paged[ClusterInfo]]{page}, err
}

// fleet lists clusters side by side, those that whoever asks may see something of; an error if there is none.
func (a *API) fleet(ctx context.Context, in *fleetQuestion) (*body[Fleet], error) {
	ask, refused := AskOf(ctx, a.Desk, a.Rights, "")
	if refused != nil && !errors.Is(refused, ErrForbidden) {
		return nil, a.fail(refused)
	}
	fleet, err := a.Desk.Fleet(ctx, ask, FleetFilter{Text: in.Text, State: in.State, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
	if err == nil && refused != nil && fleet.Total == 0 {
		err = a.someCluster(ctx, ask, refused)
	}
	if err != nil {
		return nil, a.fail(err)
	}
	return &body[Fleet]{fleet}, nil
}

// someCluster fails as refused says where no cluster may be seen.
func (a *API) someCluster(ctx context.Context, ask Ask, refused error) error {
	all, err := a.Desk.Clusters(ctx, ask)
	if err == nil && len(all) == 0 {
		err = refused
	}
	return err
}

// ask says what whoever asks may see; an error if that is nothing.
func (a *API) ask(ctx context.Context, cluster string) (Ask, error) {
	ask, err := AskOf(ctx, a.Desk, a.Rights, cluster)
	if err != nil {
		return Ask{}, a.fail(err)
	}
	return ask, nil
}

// The errors of AskOf.
var (
	ErrLogIn     = errors.New("log in first")
	ErrForbidden = errors.New("you may not see this")
)

// AskOf says what whoever a request is from may see of a cluster. Of one that is not the server's
// own, which a spoke pushes, that is everything or nothing: its RBAC rules are not known here.
// With ErrForbidden comes which other clusters may be seen (Shown).
func AskOf(ctx context.Context, d *Desk, rights Rights, cluster string) (Ask, error) {
	who := WhoAsks(ctx)
	if who.Anonymous() {
		return Ask{}, ErrLogIn
	}
	own := func(ctx context.Context) (Namespaces, error) { return rights.Sees(ctx, who, d.Namespaces()) }
	ask := Ask{Cluster: cluster, SeesOwn: own, Shown: func(ctx context.Context, uid string) (bool, error) {
		if uid == d.Own() {
			sees, err := own(ctx)
			return sees.All || len(sees.Names) > 0, err
		}
		all, err := rights.May(ctx, who, ReadClusters, "")
		if err != nil || all {
			return all, err
		}
		return rights.May(ctx, who, ReadCluster(uid), "")
	}}
	if cluster != "" && cluster != d.Own() {
		all, err := ask.Shown(ctx, cluster)
		switch {
		case err != nil:
			return Ask{}, errors.Join(ErrUnavailable, err)
		case !all:
			return Ask{Shown: ask.Shown, SeesOwn: ask.SeesOwn}, ErrForbidden
		}
		ask.Sees.All, ask.Guards = true, true
		return ask, nil
	}
	var err error
	if ask.Sees, err = own(ctx); err != nil {
		return Ask{}, errors.Join(ErrUnavailable, err)
	}
	if !ask.Sees.All && len(ask.Sees.Names) == 0 {
		return Ask{Shown: ask.Shown, SeesOwn: ask.SeesOwn}, ErrForbidden
	}
	if ask.Guards, err = rights.May(ctx, who, PlanGuards, ""); err != nil {
		return Ask{}, errors.Join(ErrUnavailable, err)
	}
	return ask, nil
}

// fail gives an error its status. What is nobody's business stays in the log.
func (a *API) fail(err error) error {
	switch {
	case errors.Is(err, ErrLogIn):
		return huma.Error401Unauthorized("log in first: a bearer token, or a session")
	case errors.Is(err, ErrForbidden):
		return huma.Error403Forbidden("you may not see or do this; who may is said by RBAC rules for the API group " + Group)
	case errors.Is(err, ErrNotFound):
		return huma.Error404NotFound("there is none, or you may not see it")
	case errors.Is(err, ErrCursor), errors.Is(err, ErrBadInput):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, ErrUnavailable):
		a.Log.Error("a question could not be answered", "error", err)
		return huma.Error503ServiceUnavailable("the store or the cluster does not answer now; try again in a moment")
	case errors.Is(err, context.Canceled):
		return huma.NewError(499, "the client left")
	}
	a.Log.Error("a question failed", "error", err)
	return huma.Error500InternalServerError("this failed here; the server's log says why")
}

// may fails unless whoever asks has a right for the whole cluster.
func (a *API) may(ctx context.Context, right Right) error {
	who := WhoAsks(ctx)
	if who.Anonymous() {
		return a.fail(ErrLogIn)
	}
	allowed, err := a.Rights.May(ctx, who, right, "")
	if err != nil {
		return a.fail(errors.Join(ErrUnavailable, err))
	}
	if !allowed {
		return a.fail(ErrForbidden)
	}
	return nil
}

// report is the whole report, for those who may see everything.
func (a *API) report(w http.ResponseWriter, r *http.Request) {
	ask, err := AskOf(r.Context(), a.Desk, a.Rights, "")
	if err == nil && !ask.Sees.All {
		err = ErrForbidden
	}
	switch {
	case errors.Is(err, ErrLogIn):
		http.Error(w, "log in first: a bearer token, or a session", http.StatusUnauthorized)
	case errors.Is(err, ErrForbidden):
		http.Error(w, "the whole report is for those who may get reports."+Group+" in the whole cluster\nhint: /api/v1/findings shows what you may see", http.StatusForbidden)
	case err != nil:
		a.Log.Error("a question could not be answered", "error", err)
		http.Error(w, "the cluster does not answer now; try again in a moment", http.StatusServiceUnavailable)
	case a.elsewhere(w, r):
	case a.Report == nil:
		http.Error(w, "this server watches no cluster", http.StatusNotFound)
	default:
		a.Report(w, r)
	}
}

// elsewhere refuses a request for a cluster that another server watches, where only what is of the server's own can be
// given, and reports that it did.
func (a *API) elsewhere(w http.ResponseWriter, r *http.Request) bool {
	cluster := r.URL.Query().Get("cluster")
	if cluster == "" || cluster == a.Desk.Own() {
		return false
	}
	http.Error(w, "this is given of the server's own cluster alone\nhint: ask the server that watches the other one, or leave out cluster=", http.StatusUnprocessableEntity)
	return true
}

// severityOf reads a severity from a query.
func severityOf(name string) (bailey.Severity, error) {
	if name == "" {
		return bailey.SeverityNone, nil
	}
	s, err := bailey.ParseSeverity(name)
	if err != nil {
		return s, errors.Join(ErrBadInput, err)
	}
	return s, nil
}
