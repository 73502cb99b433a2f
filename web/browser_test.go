package web_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/baileyhq/bailey/internal/browsertest"
)

// shotsVariable is the variable of the environment that says where screenshots are kept.
const shotsVariable = "BAILEY_SCREENSHOTS"

// browser is a browser that keeps pictures and holds pages to axe's rules.
type browser struct {
	*browsertest.Browser
	shots string
	axe   string
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	b := &browser{Browser: browsertest.Start(t), shots: os.Getenv(shotsVariable)}
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
	forced        bool // the system's colours
}

func (l look) String() string {
	if l.forced {
		return fmt.Sprintf("%d-forced", l.width)
	}
	return fmt.Sprintf("%d-%s", l.width, browsertest.Look{Dark: l.dark}.Theme())
}

// atNight is the same in dark.
func (l look) atNight() look {
	l.dark = true
	return l
}

// open opens a tab with the session of a dashboard.
func (b *browser) open(t testing.TB, d *dashboard, l look) *browsertest.Tab {
	t.Helper()
	at, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	return b.Open(t, browsertest.Look{Width: l.width, Height: l.height, Dark: l.dark, Forced: l.forced, Cookies: d.jar.Cookies(at), URL: d.url})
}

// shoot keeps a picture of the whole page.
func (b *browser) shoot(t testing.TB, x *browsertest.Tab, name string) {
	t.Helper()
	picture, err := chromedp.Run(x.Ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// accessible holds a page to axe's rules.
func (b *browser) accessible(t testing.TB, x *browsertest.Tab) {
	t.Helper()
	if b.axe == "" {
		return
	}
	x.Do(t, chromedp.Evaluate[chromedp.Void](b.axe))
	text := browsertest.Eval[string](t, x, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical" || v.impact === "moderate").map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " | " + n.failureSummary)}))))`)
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
