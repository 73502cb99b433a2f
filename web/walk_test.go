package web_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/browsertest"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/web"
)

// place is a page to walk past.
type place struct {
	name, path string
	// person is who walks there: the administrator if empty.
	person string
	// world says what the fixture stands for; the usual one if nil.
	world func(f *fixture)
	// rare tells that it is walked past with BAILEY_SOAK=1 only.
	rare bool
	// refused tells that the browser logs the page's status as an error.
	refused bool
}

var anonymous = "nobody"

// places are all pages, with the states in which they look different.
func places(f *fixture) []place {
	object := func(i int) string {
		o := f.workload(i)
		return "/objects/" + url.PathEscape(string(o.Kind)) + "/" + o.Namespace + "/" + o.Name
	}
	empty := func(f *fixture) { f.empty = true }
	return []place{
		{name: "overview", path: "/"},
		{name: "overview-lost", path: "/", world: func(f *fixture) { f.lost, f.many = true, true }},
		{name: "overview-first-look", path: "/", world: func(f *fixture) { f.firstLook = true }, rare: true},
		{name: "overview-no-cluster", path: "/", world: empty},
		{name: "overview-tenant", path: "/", person: "tenant", rare: true},
		{name: "clusters", path: "/clusters", world: func(f *fixture) { f.many = true }},
		{name: "clusters-lost", path: "/clusters?cluster=spoke-2&state=lost&order=heard", world: func(f *fixture) { f.many = true }, rare: true},
		{name: "clusters-none", path: "/clusters?q=nothing+has+this", rare: true},
		{name: "changes", path: "/changes"},
		{name: "changes-filtered", path: "/changes?control=compute%2Fpod-security&since=2026-11-01&order=oldest", rare: true},
		{name: "changes-none", path: "/changes?q=nothing+has+this", rare: true},
		{name: "control-gap", path: "/controls/" + f.controls[1].ID},
		{name: "control-proven", path: "/controls/compute/pod-security"},
		{name: "scopes", path: "/controls/compute/pod-security/scopes"},
		{name: "scopes-filtered", path: "/controls/compute/pod-security/scopes?rung=low&namespace=shop&order=name", rare: true},
		{name: "scopes-none", path: "/controls/compute/pod-security/scopes?q=nothing+has+this", rare: true},
		{name: "control-bare", path: "/controls/develop/environment", rare: true},
		{name: "findings", path: "/findings"},
		{name: "findings-filtered", path: "/findings?severity=high&namespace=shop&order=newest&q=a", rare: true},
		{name: "findings-none", path: "/findings?q=nothing+has+this", rare: true},
		{name: "finding", path: "/findings/" + f.found[9].ID},
		{name: "finding-hostile", path: "/findings/" + f.found[8].ID, rare: true},
		{name: "workloads", path: "/workloads"},
		{name: "object", path: object(9)},
		{name: "object-lost", path: object(9), world: func(f *fixture) { f.lost = true }},
		{name: "object-read-anew", path: object(9), world: func(f *fixture) { f.firstLook = true }, rare: true},
		{name: "object-long", path: object(3), rare: true},
		{name: "workloads-none", path: "/workloads?q=nothing&kind=CronJob.batch&namespace=shop", rare: true},
		{name: "namespaces", path: "/namespaces"},
		{name: "namespaces-filtered", path: "/namespaces?control=network%2Fpolicy&rung=gap&order=findings", rare: true},
		{name: "experiments", path: "/experiments"},
		{name: "experiments-filtered", path: "/experiments?state=never&order=newest", rare: true},
		{name: "experiment", path: "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name},
		{name: "experiment-narrowed", path: "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name + "?namespace=none", rare: true},
		{name: "experiment-refused", path: "/experiments/" + f.isolated(), world: func(f *fixture) { f.asksOnly = true }},
		{name: "experiment-never", path: "/experiments/" + f.never(), rare: true},
		{name: "runs", path: "/runs"},
		{name: "runs-filtered", path: "/runs?state=done&trigger=schedule&control=network%2Fpolicy&order=oldest"},
		{name: "runs-looking", path: "/runs?q=slow", rare: true},
		{name: "run-live", path: "/runs/" + f.run.ID},
		{name: "run-failed", path: "/runs/run-2", rare: true},
		{name: "ledger", path: "/ledger"},
		{name: "ledger-elsewhere", path: "/ledger?cluster=spoke-2", world: func(f *fixture) { f.many = true }, rare: true},
		{name: "experiment-elsewhere", path: "/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name + "?cluster=spoke-2", world: func(f *fixture) { f.many = true }, rare: true},
		{name: "alerts", path: "/alerts"},
		{name: "alerts-unread", path: "/alerts", world: func(f *fixture) { f.lost = true }, rare: true},
		{name: "alerts-filtered", path: "/alerts?kind=rung&state=all&severity=medium&order=severity&cursor=5&at=5&back=0~"},
		{name: "alerts-none", path: "/alerts?q=nothing+has+this", rare: true},
		{name: "waivers", path: "/waivers"},
		{name: "waivers-filtered", path: "/waivers?state=all&owner=p&order=owner", rare: true},
		{name: "waiver-extend", path: "/waivers/2/extend"},
		{name: "waiver-new", path: "/waivers/new?rule=compute/pod-security/privileged&namespace=shop"},
		{name: "enforce", path: "/enforce"},
		{name: "enforce-filtered", path: "/enforce?namespace=payments&stage=warn&order=stage", rare: true},
		{name: "enforce-none", path: "/enforce?q=nothing+has+this", rare: true},
		{name: "guard", path: f.planned()},
		{name: "guard-filtered", path: f.planned() + "?stage=drifted&order=newest", rare: true},
		{name: "activity", path: "/activity"},
		{name: "activity-filtered", path: "/activity?outcome=refused&since=2026-11-01&until=2026-11-26&order=oldest", rare: true},
		{name: "activity-none", path: "/activity?who=nobody", rare: true},
		{name: "forbidden-activity", path: "/activity", person: "tenant", refused: true, rare: true},
		{name: "search", path: "/search?q=web"},
		{name: "search-none", path: "/search?q=nothing+has+this", rare: true},
		{name: "login", path: "/login", person: anonymous},
		{name: "forbidden", path: "/", person: "stranger", refused: true},
		{name: "forbidden-ledger", path: "/ledger", person: "tenant", refused: true, rare: true},
		{name: "not-found", path: "/controls/no/such", refused: true},
		{name: "bad-filter", path: "/findings?severity=dreadful", refused: true, rare: true},
		{name: "unavailable", path: "/findings", world: func(f *fixture) { f.fails = errors.Join(server.ErrUnavailable) }, refused: true},
	}
}

// never gives the path of an experiment without evidence.
func (f *fixture) never() string {
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			if f.untried(c.ID, x.Name) {
				return c.ID + "/" + x.Name
			}
		}
	}
	return ""
}

// isolated gives the path of an experiment that makes objects of its own.
func (f *fixture) isolated() string {
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			if x.Danger == bailey.DangerIsolated {
				return c.ID + "/" + x.Name
			}
		}
	}
	return ""
}

// TestPlaces: each page has a place that is always walked past.
func TestPlaces(t *testing.T) {
	// What is got and shows no page of its own, or one that all failures share.
	bare := map[string]bool{"GET " + server.StaticPath: true, "GET " + server.LogInPath + "/oidc": true, "GET " + server.CallbackPath: true, "/": true}
	routes, lacking := http.NewServeMux(), map[string]bool{}
	for _, pattern := range web.Routes() {
		routes.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
		if !bare[pattern] && !strings.HasPrefix(pattern, "POST ") {
			lacking[pattern] = true
		}
	}
	for _, p := range places(newFixture()) {
		at, err := url.Parse(p.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := routes.Handler(&http.Request{Method: http.MethodGet, URL: at}); !p.rare && !p.refused {
			delete(lacking, pattern)
		}
	}
	if len(lacking) > 0 {
		t.Errorf("pages without a place: %q", slices.Sorted(maps.Keys(lacking)))
	}
}

// TestWalk walks past every page in a real browser: at a desk in light and on a phone in dark,
// or at every width in both, and in the system's colours, with BAILEY_SOAK=1. The overview is
// always walked past on a large screen too.
func TestWalk(t *testing.T) {
	b := newBrowser(t)
	b.axe = readAxe(t)
	desk, large, phone := look{width: 1280, height: 800}, look{width: 1920, height: 1080}, look{width: 390, height: 844}
	looks := []look{desk, phone.atNight()}
	whole := os.Getenv("BAILEY_SOAK") != ""
	if whole {
		forced := desk
		forced.forced = true
		looks = []look{desk, desk.atNight(), phone, phone.atNight(), large, large.atNight(), forced}
	}
	ledger := newBook(t, 700)
	only := os.Getenv("BAILEY_WALK") // the beginnings of names, separated by commas
	for _, p := range places(newFixture()) {
		if only != "" && !hasOneOf(p.name, strings.Split(only, ",")) || only == "" && p.rare && !whole {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			f := newFixture()
			if p.world != nil {
				p.world(f)
			}
			person := p.person
			switch person {
			case "":
				person = "admin"
			case anonymous:
				person = ""
			}
			d := start(t, f, person, ledger)
			looks := looks
			if p.name == "overview" && !whole {
				looks = append(looks, large)
			}
			for _, l := range looks {
				x := b.open(t, d, l)
				x.Visit(t, d.url+p.path)
				x.Until(t, `document.querySelector("#verifier form")?.hidden !== true`)
				b.shoot(t, x, p.name+"-"+l.String())
				for _, problem := range x.Heard(t) {
					if !p.refused || !strings.Contains(problem, "the server responded with a status of") {
						t.Errorf("%s: %s", l, problem)
					}
				}
				if wide := browsertest.Eval[int64](t, x, "document.documentElement.scrollWidth"); wide > l.width {
					t.Errorf("%s: the page is %d wide, by %s", l, wide, browsertest.Eval[string](t, x, widest))
				}
				if narrow := browsertest.Eval[string](t, x, squeezed); narrow != "" {
					t.Errorf("%s: text with a letter or two on each line: %s", l, narrow)
				}
				b.accessible(t, x)
				most := tabs
				if whole && (l == desk || l == phone) {
					most = tabsWhole
				}
				focusOrder(t, x, most)
				x.Close()
			}
			if text := d.log.String(); strings.Contains(text, "failed") {
				t.Error(text)
			}
		})
	}
}

func hasOneOf(name string, beginnings []string) bool {
	for _, one := range beginnings {
		if strings.HasPrefix(name, one) {
			return true
		}
	}
	return false
}

// tabs is how often Tab is pressed on each page, and tabsWhole with BAILEY_SOAK=1: until it has led past all of it.
const tabs, tabsWhole = 12, 3000

// focusOrder presses Tab: it leads first to the link past the frame, then on in the order of
// the page, and always to something that can be seen and has a name.
func focusOrder(t *testing.T, x *browsertest.Tab, most int) {
	t.Helper()
	x.Do(t, chromedp.Evaluate[chromedp.Void](`(() => { document.activeElement?.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); window.seen = []; })()`))
	for i := range most {
		x.Do(t, chromedp.KeyEvent("\t"))
		problem := browsertest.Eval[string](t, x, `(() => {
			const e = document.activeElement;
			if (!e || e === document.body) return "end";
			const name = (e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || e.value || "").trim();
			const r = e.getBoundingClientRect();
			const last = seen.at(-1);
			seen.push(e);
			if (!name) return "no name: " + e.outerHTML.slice(0, 120);
			if (e.tabIndex > 0) return "a tabindex over 0: " + e.outerHTML.slice(0, 120);
			if (r.width === 0 || r.right <= 0 || r.left >= innerWidth) return "not to be seen: " + e.outerHTML.slice(0, 120);
			if (last && last !== e && !(last.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) return "out of order: " + e.outerHTML.slice(0, 120);
			const s = getComputedStyle(e);
			if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 1) return "focus is not visible: " + e.outerHTML.slice(0, 120);
			return seen.length === 1 && !e.matches(".skip, .gate *") ? "first comes " + e.outerHTML.slice(0, 120) : "";
		})()`)
		if problem == "end" {
			break
		}
		if problem != "" {
			t.Errorf("Tab %d: %s", i+1, problem)
			return
		}
	}
}

// squeezed gives a text that stands in a column too narrow for it.
const squeezed = `(() => {
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const n = texts.currentNode, length = n.data.trim().length;
		if (length < 12 || n.parentElement.closest("pre, code, script, style")) continue;
		const range = document.createRange();
		range.selectNodeContents(n);
		if (new Set([...range.getClientRects()].map(r => r.top)).size > length / 4) return n.parentElement.outerHTML.slice(0, 160);
	}
	return "";
})()`

// widest names the elements that stick out of the page, the innermost last.
const widest = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(-3).map(e => e.outerHTML.slice(0, 120)).join(" | ")`
