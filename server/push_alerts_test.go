package server

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

func alertsPushOf(t testing.TB, h pushHeader, list []store.Alert) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeAlerts(&b, h, list); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readAlerts(r io.Reader) (pushHeader, []store.Alert, error) {
	in := newPushReader(r)
	h, err := in.header()
	if err != nil {
		return h, nil, err
	}
	list, err := in.alerts()
	return h, list, err
}

// fullAlerts are one that is over and one that lasts, as a store has them.
func fullAlerts() []store.Alert {
	at := time.Date(2026, 11, 1, 12, 0, 0, 123, time.UTC)
	doc := alertDoc{Control: "a/b", Rule: "a/b/c", Since: at, Members: []string{"0011223344556677"}}
	return []store.Alert{
		{Key: "finding/a/b/c/shop", Kind: store.AlertFinding, Severity: bailey.SeverityHigh, Title: "Something in shop", Text: "1 new finding", Object: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"},
			Doc: doc.text(), First: at, Last: at.Add(time.Hour), Times: 3, Resolved: at.Add(2 * time.Hour), Delivered: at.Add(time.Minute), Changed: 7, Seq: 5},
		{Key: "detection/exec/a\x00<b>\n/shop", Kind: store.AlertDetection, Severity: bailey.SeverityCritical, Title: "A shell", First: at, Last: at, Times: 1, Doc: (&alertDoc{}).text()},
	}
}

// TestPushAlerts: alerts that are written are read as they are shown, without what only the spoke needs; cut
// anywhere they are refused, and so is what no alert can be.
func TestPushAlerts(t *testing.T) {
	h := pushHeader{Kind: pushAlerts, Cluster: "uid", Session: "s", Number: 3, All: true}
	text := alertsPushOf(t, h, fullAlerts())
	want := fullAlerts()
	want[0].Delivered, want[0].Changed, want[0].Seq = time.Time{}, 0, 0
	shown := alertDoc{Control: "a/b", Rule: "a/b/c", Since: want[0].First}
	want[0].Doc = shown.text()
	got, list, err := readAlerts(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if h.Format, h.Version = pushFormat, pushVersion; got != h || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v\n%+v\nis read as\n%+v\n%+v", h, want, got, list)
	}
	for n := range len(text) - 1 {
		if _, _, err := readAlerts(strings.NewReader(text[:n])); err == nil {
			t.Fatalf("cut off after %d of %d bytes it is taken", n, len(text))
		}
	}
	lines := strings.SplitAfter(text, "\n")
	for name, bad := range map[string]string{
		"a line is lost":         lines[0] + strings.Join(lines[2:], ""),
		"something follows":      text + "{}\n",
		"begins a session":       strings.Replace(text, `"number":3`, `"number":0`, 1),
		"something else":         lines[0] + `{"gone":{"kind":"Pod","name":"a"}}` + "\n" + `{"end":1}` + "\n",
		"no key":                 strings.Replace(text, `"key":"finding/a/b/c/shop"`, `"key":""`, 1),
		"a long key":             strings.Replace(text, "finding/a/b/c/shop", strings.Repeat("x", longestKey+1), 1),
		"a long title":           strings.Replace(text, "Something in shop", strings.Repeat("x", longestTitle+1), 1),
		"a long text":            strings.Replace(text, "1 new finding", strings.Repeat("x", longestText+1), 1),
		"a long rule":            strings.Replace(text, `"rule":"a/b/c"`, `"rule":"`+strings.Repeat("x", longestID+1)+`"`, 1),
		"no kind":                strings.Replace(text, `"kind":"finding"`, `"kind":""`, 1),
		"a kind of two lines":    strings.Replace(text, `"kind":"finding"`, `"kind":"a\nb"`, 1),
		"a false severity":       strings.Replace(text, `"high"`, `"highest"`, 1),
		"an object without name": strings.Replace(text, `"name":"web"`, `"name":""`, 1),
		"never":                  strings.Replace(text, `"times":3`, `"times":0`, 1),
		"impossibly often":       strings.Replace(text, `"times":3`, `"times":1000000001`, 1),
		"no first time":          strings.Replace(text, `"first":"2026-11-01T12:00:00.000000123Z"`, `"first":"0001-01-01T00:00:00Z"`, 1),
		"no time that is kept":   strings.Replace(text, `"last":"2026-`, `"last":"2262-`, 1),
		"over at no such time":   strings.Replace(text, `"resolved":"2026-`, `"resolved":"1500-`, 1),
		"since no such time":     strings.Replace(text, `"since":"2026-`, `"since":"9999-`, 1),
	} {
		if bad == text {
			t.Fatalf("%s: nothing was replaced in %s", name, text)
		}
		if _, _, err := readAlerts(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, _, err := readPush(strings.NewReader(strings.Replace(text, `"kind":"alerts"`, `"kind":"delta"`, 1))); err == nil {
		t.Error("an alert is taken among findings")
	}
	many := strings.NewReader(lines[0] + strings.Repeat(lines[2], mostAlerts+1) + fmt.Sprintf(`{"end":%d}`+"\n", mostAlerts+1))
	if _, _, err := readAlerts(many); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too many alerts: %v", err)
	}
}
