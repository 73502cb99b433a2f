package main

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/baileyhq/bailey/internal/browsertest"
	"github.com/baileyhq/bailey/web"
)

// What bounds a walk: how many pages that are alike in their route and in the names of their parameters the browser goes to, and
// how many links to such are asked for.
const (
	alikeSeen  = 1
	alikeAsked = 15
	// walkLife bounds a walk: between two pages of it, many links are asked for without the browser.
	walkLife = 15 * time.Minute
)

// write writes into the field that has the focus, as a person does who pastes.
func write(t *testing.T, x *browsertest.Tab, text string) {
	t.Helper()
	if _, err := chromedp.Call(x.Ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		t.Fatal(err)
	}
}

// enter goes to a page without a session, logs in where that leads, and arrives at the page.
func (s *sight) enter(t *testing.T, x *browsertest.Tab, person, path string) {
	t.Helper()
	x.Visit(t, s.p.url+path)
	x.Arrive(t, `location.pathname === "/login" && document.getElementById("token")`)
	x.Do(t, chromedp.Click("#token"))
	write(t, x, s.tokens[person])
	x.Do(t, chromedp.Click(chromedp.CSS("form.card button")))
	x.Arrive(t, fmt.Sprintf("document.readyState === 'complete' && location.pathname + location.search === %q", path))
}

// leave logs out, after which nothing is shown.
func (s *sight) leave(t *testing.T, x *browsertest.Tab) {
	t.Helper()
	x.Do(t, chromedp.Click(chromedp.CSS("form.who button")))
	x.Arrive(t, `location.pathname === "/login"`)
	x.Visit(t, s.p.url+"/findings")
	x.Arrive(t, `location.pathname === "/login" && location.search === "?next=%2Ffindings"`)
}

// offered are the addresses of this site that a page leads to, and what in it leads nowhere.
const offered = `(() => {
	const all = [...document.querySelectorAll("a[href]")].filter(a => a.origin === location.origin);
	const here = (a) => a.pathname + a.search === location.pathname + location.search;
	return {
		Links: [...new Set(all.map(a => a.pathname + a.search))],
		Lost: all.filter(a => a.hash && here(a) && !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map(a => a.outerHTML.slice(0, 160)),
		Status: performance.getEntriesByType("navigation")[0].responseStatus,
	};
})()`

var hrefs = regexp.MustCompile(`href="([^"]*)"`)

// withdrawn reports whether a page offers an address no more: it was read a while ago, and others share the cluster.
func (s *sight) withdrawn(t *testing.T, person, link, page string) bool {
	t.Helper()
	at, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	meant := func(text string) string {
		u, err := at.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host + u.Path + "?" + u.Query().Encode()
	}
	for _, href := range hrefs.FindAllStringSubmatch(s.ask(t, person, http.MethodGet, page, "").text, -1) {
		if meant(html.UnescapeString(href[1])) == meant(link) {
			return false
		}
	}
	return true
}

// walk goes to the pages that links lead to, from the first on: no browser complains of one, and no link leads whoever is offered it
// to a refusal or to nothing.
func (s *sight) walk(t *testing.T, b *browsertest.Browser, person string) {
	x := b.Open(t, browsertest.Look{Width: 1280, Height: 800, Life: walkLife})
	s.enter(t, x, person, "/")
	routes := http.NewServeMux()
	for _, pattern := range web.Routes() {
		routes.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	alike := func(link string) string {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		_, pattern := routes.Handler(&http.Request{Method: http.MethodGet, URL: u})
		var names []string
		for name := range u.Query() {
			names = append(names, name)
		}
		slices.Sort(names)
		return pattern + "?" + strings.Join(names, "&")
	}
	from, visited, asked := map[string]string{"/": ""}, map[string]int{}, map[string]int{}
	queue := []string{"/"}
	for len(queue) > 0 {
		link := queue[0]
		queue = queue[1:]
		kind := alike(link)
		if file := strings.Contains(link, "format=csv"); file || visited[kind] >= alikeSeen {
			if asked[kind]++; asked[kind] <= alikeAsked {
				if a := s.ask(t, person, http.MethodGet, link, ""); a.status >= 300 && !(a.status == missing && s.withdrawn(t, person, link, from[link])) {
					t.Errorf("%s is offered at %s, and gives %d", link, from[link], a.status)
				}
			}
			continue
		}
		x.Visit(t, s.p.url+link)
		page := browsertest.Eval[struct {
			Links, Lost []string
			Status      int
		}](t, x, offered)
		problems := x.Heard(t)
		if page.Status == missing && s.withdrawn(t, person, link, from[link]) {
			continue // another of its kind is visited
		}
		visited[kind]++
		if page.Status != ok {
			t.Errorf("%s is offered at %s, and gives %d", link, from[link], page.Status)
		}
		for _, problem := range problems {
			t.Errorf("%s: %s", link, problem)
		}
		for _, lost := range page.Lost {
			t.Errorf("%s: %s leads nowhere", link, lost)
		}
		for _, next := range page.Links {
			if _, known := from[next]; !known {
				from[next] = link
				queue = append(queue, next)
			}
		}
	}
	routesSeen := 0
	for kind := range visited {
		if !strings.HasPrefix(kind, "/?") {
			routesSeen++
		}
	}
	t.Logf("%s is offered %d addresses of %d kinds", person, len(from), routesSeen)
	if least := map[string]int{tenant: 12, admin: 18}[person]; routesSeen < least {
		t.Errorf("%s is led to %d kinds of pages only", person, routesSeen)
	}
	s.leave(t, x)
}

// scriptless does what an administrator does, in a browser that runs no script.
func (s *sight) scriptless(t *testing.T, b *browsertest.Browser) {
	x := b.Open(t, browsertest.Look{Width: 1280, Height: 800, Scriptless: true, Life: walkLife})
	s.enter(t, x, admin, "/findings?state=all")
	if browsertest.Eval[bool](t, x, `!document.querySelector("script") || performance.getEntriesByType("resource").some(e => e.name.endsWith("/live.js"))`) {
		t.Error("scripts run")
	}
	text := func(what string) string { return fmt.Sprintf("document.body.innerText.includes(%q)", what) }
	button := func(css string) { t.Helper(); x.Do(t, chromedp.Click(chromedp.CSS(css))) }

	button(`a[rel=next]`)
	x.Arrive(t, `location.search.includes("cursor=") && document.querySelector("table.findings tbody tr")`)
	x.Visit(t, s.p.url+"/findings")
	x.Do(t, chromedp.Focus(chromedp.CSS(`select[name=severity]`)), chromedp.KeyEvent("high"))
	button(`input[name=namespace]`)
	write(t, x, s.mine)
	button(`form.filters button`)
	x.Arrive(t, fmt.Sprintf(`location.search.includes("severity=high") && location.search.includes("namespace=%s") && document.querySelector("table.findings tbody tr")`, s.mine))
	if others := browsertest.Eval[int](t, x, fmt.Sprintf(`[...document.querySelectorAll("table.findings tbody tr")].filter(r => !r.innerText.includes(%q) || !/critical|high/.test(r.innerText)).length`, s.mine)); others > 0 {
		t.Errorf("the filter lets %d others through", others)
	}
	button(`table.findings tbody a.lead`)
	x.Arrive(t, `location.pathname.startsWith("/findings/") && document.readyState === "complete"`)

	button(`a[href^="/waivers/new"]`)
	x.Arrive(t, `location.pathname === "/waivers/new" && document.getElementById("rule")?.value`)
	button(`#reason`)
	write(t, x, "accepted without a script")
	button(`form.card .btn.main`) // the owner is lacking: the browser itself says so
	if browsertest.Eval[string](t, x, "location.pathname") != "/waivers/new" {
		t.Error("a waiver without an owner is sent")
	}
	button(`#owner`)
	write(t, x, "my-owner")
	button(`form.card .btn.main`)
	x.Arrive(t, `location.pathname === "/waivers" && `+text("accepted without a script"))
	waivers := `[...document.querySelectorAll("table.waivers tbody tr")].filter(r => r.innerText.includes("accepted without a script"))`
	end := browsertest.Eval[string](t, x, waivers+`[0].querySelector("form").getAttribute("action")`)
	button(`form[action="` + end + `"] button`)
	x.Arrive(t, `location.pathname === "/waivers" && document.readyState === "complete" && `+waivers+`.length === 0`)

	s.idle(t)
	x.Visit(t, s.p.url+"/experiments/access/api-server/strangers-refused")
	button(`button[name=experiment]`)
	x.Arrive(t, `location.pathname.startsWith("/runs/")`)
	s.idle(t)
	x.Arrive(t, `document.querySelector(".runstate.done")`) // it looks again by itself

	button(`button[name=theme][value=dark]`)
	x.Arrive(t, `document.documentElement.dataset.theme === "dark" && location.pathname.startsWith("/runs/")`)
	for _, problem := range x.Heard(t) {
		t.Error(problem)
	}
	s.leave(t, x)
}

// browsers has a browser walk past what is there for each, and do what there is to do without a script.
func (s *sight) browsers(t *testing.T) {
	b := browsertest.Start(t)
	for _, person := range []string{tenant, admin} {
		t.Run(person, func(t *testing.T) { s.walk(t, b, person) })
	}
	t.Run("without scripts", func(t *testing.T) { s.scriptless(t, b) })
}
