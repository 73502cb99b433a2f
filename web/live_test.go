package web_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/baileyhq/bailey/internal/browsertest"
	"github.com/baileyhq/bailey/server"
)

// TestLive watches a run in a browser while it goes on and ends, is told on another page that
// there is something newer, and reaches the search by a key.
func TestLive(t *testing.T) {
	b := newBrowser(t)
	f := newFixture()
	d := start(t, f, "admin", nil)
	x := b.open(t, d, look{width: 1280, height: 800})
	x.Visit(t, d.url+"/runs/"+f.run.ID)
	x.Until(t, `document.querySelector("progress")?.value === 216`)
	x.Until(t, `performance.getEntriesByType("resource").some(e => e.name.endsWith("/live.js"))`)
	f.mu.Lock()
	f.run.Held, f.run.Done = 636, 640
	f.mu.Unlock()
	// The stream may not be open yet: news is told until it is heard.
	tell := func(kind string, data any, until string) {
		for range 40 {
			d.news.Tell(server.Item{Kind: kind, Data: data})
			if done, err := chromedp.Run(x.Ctx, chromedp.Evaluate[bool](`new Promise(done => setTimeout(() => done(!!(`+until+`)), 500))`, chromedp.EvalAwaitPromise)); err == nil && done {
				return
			}
		}
		t.Fatalf("after news of %s, %s did not come to be", kind, until)
	}
	tell(server.NewsRun, f.run, `document.querySelector("progress")?.value === 640`)
	f.mu.Lock()
	f.run.State, f.run.Ended = "done", now
	f.mu.Unlock()
	tell(server.NewsRun, f.run, `!document.querySelector("progress") && document.querySelector(".runstate.done")`)

	x.Visit(t, d.url+"/alerts")
	if browsertest.Eval[string](t, x, `document.getElementById("news").textContent`) != "" {
		t.Error("something is said to have changed")
	}
	x.Do(t, chromedp.KeyEvent("/"))
	x.Until(t, `document.activeElement.id === "q"`)
	for _, problem := range x.Heard(t) {
		t.Error(problem)
	}
}

// TestStreamRefused: a page whose stream of events was refused, as by an ingress while the server begins
// anew, opens another, and says what has changed meanwhile and after.
func TestStreamRefused(t *testing.T) {
	b := newBrowser(t)
	f := newFixture()
	d := start(t, f, "admin", nil)
	d.deaf.Store(1)
	x := b.open(t, d, look{width: 1280, height: 800})
	x.Visit(t, d.url+"/alerts")
	for end := time.Now().Add(30 * time.Second); d.heard.Load() == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no other stream is opened")
		}
	}
	f.mu.Lock()
	f.calm = true
	f.mu.Unlock()
	d.news.Tell(server.Item{Kind: server.NewsAlert, Data: "over"})
	x.Until(t, `document.getElementById("news").textContent.includes("Something has changed")`)
}

// TestLogOutElsewhere: when somebody logs out in one tab, another leaves what it shows.
func TestLogOutElsewhere(t *testing.T) {
	b := newBrowser(t)
	d := start(t, newFixture(), "admin", nil)
	x := b.open(t, d, look{width: 1280, height: 800})
	x.Visit(t, d.url+"/alerts")
	x.Until(t, `performance.getEntriesByType("resource").some(e => e.name.endsWith("/live.js"))`)
	answer, err := d.client().Post(d.url+server.LogOutPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	x.Arrive(t, `location.pathname === "/login"`)
}

// TestMenu opens the navigation on a phone without a script's help, and closes it by a key.
func TestMenu(t *testing.T) {
	b := newBrowser(t)
	d := start(t, newFixture(), "admin", nil)
	x := b.open(t, d, look{width: 390, height: 844})
	x.Visit(t, d.url+"/waivers")
	shown := `getComputedStyle(document.getElementById("side")).display !== "none"`
	if browsertest.Eval[bool](t, x, shown) {
		t.Error("the menu is open at first")
	}
	x.Do(t, chromedp.Click(chromedp.CSS(".opener")))
	x.Until(t, shown)
	b.shoot(t, x, "menu-390-light")
	x.Do(t, chromedp.KeyEvent("\x1b"))
	x.Until(t, "!("+shown+")")
}

// TestVerifier has a browser verify a real ledger, one that was changed, and one that was
// rewritten.
func TestVerifier(t *testing.T) {
	b := newBrowser(t)
	l := newBook(t, 700)
	d := start(t, newFixture(), "admin", l)
	x := b.open(t, d, look{width: 1280, height: 800})
	verify := func(entry string) string {
		t.Helper()
		x.Visit(t, d.url+"/ledger?entry="+entry)
		x.Until(t, `document.getElementById("verifier").dataset.done`)
		return browsertest.Eval[string](t, x, `document.querySelector(".checks").innerText`)
	}
	if said := verify("17"); !strings.Contains(said, "is signed by") || !strings.Contains(said, "Entry 17 is in the log") || !strings.Contains(said, "has not seen the log before") {
		t.Errorf("a good ledger: %s", said)
	}
	l.write(t, 333)
	for _, entry := range []string{"0", "255", "256", "700", "1033"} {
		if said := verify(entry); !strings.Contains(said, "Entry "+entry+" is in the log") || !strings.Contains(said, "Nothing was changed or dropped") {
			t.Errorf("entry %s of the ledger that has grown: %s", entry, said)
		}
	}
	b.shoot(t, x, "ledger-verified-1280-light")
	bad := func(what, file string, change func(data []byte), want string) {
		t.Helper()
		defer l.change(t, file, change)()
		if said := verify("17"); !strings.Contains(said, "Not verified") || !strings.Contains(said, want) {
			t.Errorf("%s: %s", what, said)
		}
	}
	bad("a changed entry", "tile/entries/000", func(data []byte) { // a byte of entry 17, past its size
		at := 0
		for range 17 {
			at += 2 + int(binary.BigEndian.Uint16(data[at:]))
		}
		data[at+40] ^= 1
	}, "Entry 17 is not what the signed root covers")
	bad("a changed hash", "tile/0/000", func(data []byte) { data[32*40] ^= 1 }, "Entry 17 is not what the signed root covers")
	bad("a changed checkpoint", "checkpoint", func(data []byte) { data[60] ^= 1 }, "")
	if said := verify("17"); !strings.Contains(said, "Entry 17 is in the log") {
		t.Errorf("what was changed is as it was: %s", said)
	}
	// The memory of a browser that saw another history of the same log.
	x.Do(t, chromedp.Evaluate[chromedp.Void](`(() => { const k = Object.keys(localStorage).find(k => k.startsWith("bailey-ledger")); const m = JSON.parse(localStorage[k]); m.size = 700; localStorage[k] = JSON.stringify(m); })()`))
	if said := verify("17"); !strings.Contains(said, "history was rewritten") {
		t.Errorf("a rewritten history: %s", said)
	}
	x.Do(t, chromedp.Evaluate[chromedp.Void](`(() => { const k = Object.keys(localStorage).find(k => k.startsWith("bailey-ledger")); const m = JSON.parse(localStorage[k]); m.size = 5000; localStorage[k] = JSON.stringify(m); })()`))
	if said := verify("17"); !strings.Contains(said, "an older copy was put back") {
		t.Errorf("an older copy: %s", said)
	}
	for _, problem := range x.Heard(t) {
		t.Error(problem)
	}
}
