package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Variables of the environment: where screenshots are kept, and that a lack of a browser is an
// error, as it is in CI.
const (
	shotsVariable = "BAILEY_SCREENSHOTS"
	ciVariable    = "CI"
)

// need gives the path of a program of the tests, which a test skips without, but not in CI.
func need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv(ciVariable) != "" {
		t.Fatalf("no %s (make packages installs Chromium; npm comes with Node.js)", names[0])
	}
	t.Skipf("no %s (make packages installs Chromium; npm comes with Node.js)", names[0])
	return ""
}

// browser is one Chromium, with a tab per visit.
type browser struct {
	ctx   context.Context
	shots string
	axe   string
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	path := need(t, "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("hide-scrollbars", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() { end(); cancel() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium did not start: %v", err)
	}
	b := &browser{ctx: ctx, shots: os.Getenv(shotsVariable)}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	if err := os.MkdirAll(b.shots, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
}

func (l look) theme() string {
	if l.dark {
		return "dark"
	}
	return "light"
}

func (l look) String() string { return fmt.Sprintf("%d-%s", l.width, l.theme()) }

// tab is a page that is open.
type tab struct {
	ctx   context.Context
	close func()

	mu       sync.Mutex
	problems []string
}

// tabLife bounds what a test does with one page.
const tabLife = 2 * time.Minute

// open opens a tab with the session of a dashboard and hears what the browser complains of.
func (b *browser) open(t testing.TB, d *dashboard, l look) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, tabLife)
	x := &tab{ctx: ctx, close: func() { stop(); cancel() }}
	t.Cleanup(x.close)
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				x.mu.Lock()
				x.problems = append(x.problems, m.String()+" "+m.URL)
				x.mu.Unlock()
			}
		}
	}()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme()}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
	if err == nil { // else a page in a window behind another waits for ever to be drawn
		_, err = chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `addEventListener("securitypolicyviolation", (e) => console.error("CSP: " + e.violatedDirective + " " + e.blockedURI + " " + e.sourceFile + ":" + e.lineNumber))`})
	}
	at, _ := url.Parse(d.url)
	for _, c := range d.jar.Cookies(at) {
		if err == nil {
			_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: d.url})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	x.do(t, chromedp.EmulateViewport(l.width, l.height))
	return x
}

// heard gives what the browser complained of since it was asked last.
func (x *tab) heard(t testing.TB) []string {
	t.Helper()
	eval[bool](t, x, "new Promise(done => setTimeout(() => done(true)))") // what was said before is on its way
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.problems
	x.problems = nil
	return list
}

func (x *tab) do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(x.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func (x *tab) visit(t testing.TB, d *dashboard, path string) {
	t.Helper()
	x.do(t, chromedp.Navigate(d.url+path))
}

// eval gives what an expression of the page is.
func eval[T any](t testing.TB, x *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(x.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.120s: %v", expression, err)
	}
	return value
}

// until waits for a condition of the page.
func (x *tab) until(t testing.TB, expression string) {
	t.Helper()
	if _, err := chromedp.Run(x.ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		t.Fatalf("%s did not come to be: %v", expression, err)
	}
}

// shoot keeps a picture of the whole page.
func (b *browser) shoot(t testing.TB, x *tab, name string) {
	t.Helper()
	picture, err := chromedp.Run(x.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// accessible holds a page to axe's rules.
func (b *browser) accessible(t testing.TB, x *tab) {
	t.Helper()
	if b.axe == "" {
		return
	}
	x.do(t, chromedp.Evaluate[chromedp.Void](b.axe))
	text := eval[string](t, x, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical" || v.impact === "moderate").map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " | " + n.failureSummary)}))))`)
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("axe: %s (%s): %s\n  %s", v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n  "))
	}
}
