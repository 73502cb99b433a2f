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

// browser is a browser that keeps pictures and holds pages to axe's rules.
type browser struct {
	*browsertest.Browser
	shots func() string // the folder of pictures, which `go test -artifacts` keeps
	axe   string
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	return &browser{Browser: browsertest.Start(t), shots: t.ArtifactDir}
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
	if err := os.WriteFile(filepath.Join(b.shots(), name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// contrast tells what axe does not of an element: how much the colour of its text differs from the background of the nearest
// ancestor that has one, by WCAG's ratio; NaN where that is translucent, or something else lies between. Axe gives up at elements
// that are fixed, as the frame's side is, and at drawings, which put no text on shapes.
const contrast = `(e) => {
	const paint = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
	const rgba = (css) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = css; paint.fillRect(0, 0, 1, 1); return paint.getImageData(0, 0, 1, 1).data; };
	const light = (css) => [.2126, .7152, .0722].reduce((sum, share, i) => { const c = rgba(css)[i] / 255; return sum + share * (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); }, 0);
	const behind = (o) => getComputedStyle(o).backgroundColor, is = getComputedStyle(e), text = e instanceof SVGElement ? is.fill : is.color;
	let ground = e;
	while (ground && rgba(behind(ground))[3] === 0) ground = ground.parentElement;
	const at = e.getBoundingClientRect(), there = document.elementsFromPoint(at.x + at.width / 2, at.y + at.height / 2);
	const between = there.some(o => !o.contains(e) && !e.contains(o) && !o.contains(ground) && rgba(behind(o))[3] !== 0);
	if (!ground || between || rgba(behind(ground))[3] !== 255 || rgba(text)[3] !== 255) return NaN;
	const [a, b] = [light(text), light(behind(ground))];
	return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
}`

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
	for _, pale := range browsertest.Eval[[]string](t, x, `axe.run(document, {runOnly: ["color-contrast"], resultTypes: ["incomplete"], elementRef: true}).then(r => r.incomplete.flatMap(v => v.nodes.map(n => ({n, ratio: (`+contrast+`)(n.element)})).filter(({ratio}) => !(ratio >= 4.5)).map(({n, ratio}) => ratio.toFixed(2) + " of " + n.any[0]?.data?.messageKey + ": " + n.html.slice(0, 200))))`) {
		t.Errorf("contrast: %s", pale)
	}
}
