// Package browsertest opens pages in a real Chromium, for tests.
package browsertest

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// CIVariable is the variable of the environment by which the lack of a program is an error, as it is in CI.
const CIVariable = "CI"

const (
	// tabLife bounds what a test does with one tab, where it does not say how long that takes.
	tabLife = 5 * time.Minute
	// patience is how long a condition is waited for, looked at every so often.
	patience = time.Minute
	often    = 50 * time.Millisecond
)

// Need gives the path of a program of the tests, the first that is there; a test without it skips, but not in CI.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv(CIVariable) != "" {
		t.Fatalf("no %s (make packages installs Chromium; npm comes with Node.js)", names[0])
	}
	t.Skipf("no %s (make packages installs Chromium; npm comes with Node.js)", names[0])
	return ""
}

// Browser is one Chromium, with tabs that know nothing of each other.
type Browser struct{ ctx context.Context }

// Start starts a Chromium, which ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := Need(t, "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("hide-scrollbars", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() { end(); cancel() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium did not start: %v", err)
	}
	return &Browser{ctx}
}

// Look is how pages are looked at, and with what. Movement is reduced always.
type Look struct {
	Width, Height int64 // in pixels
	Dark          bool
	// Forced tells that the system's few colours stand in the place of all others, as of Windows' high contrast.
	Forced bool
	// Scriptless tells that no script of a page runs.
	Scriptless bool
	// Cookies are sent to URL.
	Cookies []*http.Cookie
	URL     string
	// Life bounds what is done with the tab: 5 minutes if zero.
	Life time.Duration
}

// Theme is the system's: light or dark.
func (l Look) Theme() string {
	if l.Dark {
		return "dark"
	}
	return "light"
}

// Tab is a page that is open.
type Tab struct {
	Ctx   context.Context
	Close func()

	mu       sync.Mutex
	problems []string
	scripts  bool
}

// reported has a page say in the console what its Content-Security-Policy refuses.
const reported = `addEventListener("securitypolicyviolation", (e) => console.error("CSP: " + e.violatedDirective + " " + e.blockedURI + " " + e.sourceFile + ":" + e.lineNumber))`

// Open opens a tab, with cookies of its own, and hears what the browser complains of. It is closed with the test at the latest.
func (b *Browser) Open(t testing.TB, l Look) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, cmp.Or(l.Life, tabLife))
	x := &Tab{Ctx: ctx, Close: func() { stop(); cancel() }, scripts: !l.Scriptless}
	t.Cleanup(x.Close)
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
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.Theme()}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if l.Forced {
		features = append(features, &emulation.MediaFeature{Name: "forced-colors", Value: "active"})
	}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	if err == nil { // else a page in a window behind another waits for ever to be drawn
		_, err = chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	}
	if err == nil && l.Scriptless {
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: reported})
	}
	for _, c := range l.Cookies {
		if err == nil {
			_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: l.URL})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	x.Do(t, chromedp.EmulateViewport(l.Width, l.Height))
	return x
}

// Heard gives what the browser complained of since it was asked last.
func (x *Tab) Heard(t testing.TB) []string {
	t.Helper()
	if x.scripts {
		Eval[bool](t, x, "new Promise(done => setTimeout(() => done(true)))") // what was said before is on its way
	} else {
		Eval[bool](t, x, "true")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.problems
	x.problems = nil
	return list
}

// Do does steps one after the other.
func (x *Tab) Do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(x.Ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// Visit goes to an address, and is there once it is loaded.
func (x *Tab) Visit(t testing.TB, url string) {
	t.Helper()
	x.Do(t, chromedp.Navigate(url))
}

// Eval gives what an expression of the page is.
func Eval[T any](t testing.TB, x *Tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(x.Ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.120s: %v", expression, err)
	}
	return value
}

// Until waits for a condition of the page.
func (x *Tab) Until(t testing.TB, expression string) {
	t.Helper()
	if _, err := chromedp.Run(x.Ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(often), chromedp.WithPollingTimeout(patience))); err != nil {
		t.Fatalf("%s did not come to be: %v", expression, err)
	}
}

// Arrive waits for a condition of a page that the browser is on its way to. It needs no script of the page's.
func (x *Tab) Arrive(t testing.TB, expression string) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(often) {
		var there bool
		if there, err = chromedp.Run(x.Ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && there {
			return
		}
	}
	t.Fatalf("%s did not come to be: %v", expression, err)
}
