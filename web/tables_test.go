package web_test

import (
	"encoding/csv"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestTables narrows and sorts every table by its address, and has the same as a file.
func TestTables(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", newBook(t, 60))
	const scopes = "/controls/compute/pod-security/scopes"
	for path, c := range map[string]struct {
		rows   int    // of the file
		sorted string // the column that is sorted, and how; empty where the page has no columns
		has    string
		hasNot string
	}{
		"/alerts?kind=rung&severity=high&state=all":          {18, "", "<p class=\"faint\">rung</p>", "<p class=\"faint\">staleness</p>"},
		"/alerts?state=over&q=sight":                         {3, "", "The cluster is out of sight", "<p>began "},
		"/alerts?control=compute%2Fpod-security":             {37, "", `>control</span> compute/pod-security`, ""},
		"/runs?state=failed":                                 {1, "Begun descending", ">failed<", "run-3"},
		"/runs?trigger=person&order=oldest":                  {2, "Begun ascending", "rosa@example.org", "run-6"},
		"/runs?state=broken":                                 {1, "Begun descending", "12 broken", "run-5"},
		"/waivers?state=ended":                               {1, "Until ascending", `<b class="wrap">access/tls`, `<b class="wrap">storage/backups`},
		"/waivers?state=expiring":                            {1, "Until ascending", `<b class="wrap">network/policy/*`, `<b class="wrap">access/tls`},
		"/waivers?control=compute%2Fpod-security":            {1, "Until ascending", "node-agent", `<b class="wrap">storage/backups`},
		"/waivers?state=all&owner=PLAT&order=rule":           {2, "What is accepted ascending", `<b class="wrap">access/tls`, "node-agent"},
		"/experiments?state=broken":                          {0, "", "No experiment matches", ""},
		"/experiments?control=compute%2Fpod-security":        {len(f.control("compute/pod-security").Experiments), "Experiment ascending", "", ""},
		"/activity?outcome=refused&q=waiver%27s":             {21, "When descending", "end is past", `<span class="tag">done`},
		"/activity?since=2026-11-25&until=2026-11-25":        {18, "When descending", "", ""},
		"/namespaces?q=team-dill&order=findings":             {28, "Findings descending", "team-dill-00", "team-borage"},
		"/namespaces?control=network%2Fpolicy&rung=gap":      {-1, "", "", ""},
		"/workloads?order=name":                              {400, "Workload ascending", "", ""},
		"/workloads?order=findings&namespace=shop":           {-1, "Findings descending", `href="/workloads?namespace=shop">Workload`, ""},
		"/findings?order=object&severity=critical&kind=Pod":  {0, "", "No finding matches", ""},
		"/findings?order=object&severity=critical":           {-1, "Where ascending", "", ""},
		"/changes?order=oldest&q=became+privileged":          {46, "When ascending", "container app became privileged", "16 of 16"},
		"/changes?control=compute%2Fpod-security":            {3, "When descending", `<th role="rowheader" scope="row"><a href="/controls/compute/pod-security">`, "/controls/network/policy"},
		"/changes?namespace=shop&since=2026-11-20":           {-1, "When descending", `<span class="ns">shop/</span>`, `<span class="ns">payments/</span>`},
		"/changes?since=2026-11-25":                          {25, "When descending", "1–25<", ""},
		"/enforce?stage=drifted":                             {-1, "", "drifted</span>", ""},
		"/enforce?namespace=payments&order=stage":            {-1, "", `href="/enforce?namespace=payments&amp;order=stage&amp;stage=warn"`, "namespace=shop"},
		"/enforce?control=network%2Fpolicy&stage=in+place":   {-1, "", `>stage</span> in place`, ""},
		f.planned() + "?stage=drifted":                       {-1, "Stage ascending", "failurePolicy is Ignore", "audits since"},
		f.planned() + "?namespace=payments&order=name":       {1, "Where ascending", "payments", "kube-system"},
		f.planned() + "?order=newest":                        {120, "Stage descending", "1–50 of 120", ""},
		scopes + "?rung=low":                                 {56, "Rung ascending", ">unknown<", `<use href="#g-proven"/></svg>proven`},
		scopes + "?order=name&namespace=shop&q=WEB":          {0, "", "No place matches", ""},
		scopes + "?order=name&namespace=shop":                {-1, "workload ascending", `<span class="ns">shop/</span>`, `<span class="ns">payments/</span>`},
		"/ledger?kind=record&control=compute%2Fpod-security": {-1, "Index descending", `href="/controls/compute/pod-security"`, "A period begins"},
		"/ledger?order=oldest":                               {61, "Index ascending", `id="entry-0"`, `id="entry-60"`},
		"/ledger?kind=key":                                   {1, "Index descending", "A period begins", "try-1"},
		"/clusters?order=heard&state=seen":                   {1, "Last heard ascending", "prod-eu-west-1", ""},
	} {
		status, text := d.get(t, path)
		if status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
			continue
		}
		if !strings.Contains(text, c.has) || c.hasNot != "" && strings.Contains(text, c.hasNot) {
			t.Errorf("%s: the page lacks %q, or has %q", path, c.has, c.hasNot)
		}
		sorted := ""
		if m := regexp.MustCompile(`aria-sort="(\w+)"><a href="[^"]*">([^<]*)`).FindStringSubmatch(text); m != nil {
			sorted = html.UnescapeString(m[2]) + " " + m[1]
		}
		if c.sorted != "" && sorted != c.sorted {
			t.Errorf("%s: sorted by %q, not %q", path, sorted, c.sorted)
		}
		status, text = d.get(t, path+"&format=csv")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if n := len(rows) - 1; status != http.StatusOK || err != nil || c.rows >= 0 && n != c.rows || c.rows < 0 && n < 1 {
			t.Errorf("%s as a file: %d, %d rows, %v", path, status, n, err)
		}
	}
	for _, path := range []string{"/alerts?state=dreadful", "/alerts?kind=x", "/alerts?order=x", "/runs?state=x", "/runs?trigger=x", "/waivers?state=x", "/waivers?order=x", "/experiments?state=x", "/experiments?danger=x",
		"/activity?outcome=x", "/activity?since=x", "/namespaces?rung=x", "/namespaces?control=no%2Fsuch", "/workloads?kind=x", "/workloads?order=x", "/clusters?order=x", "/changes?order=x", "/changes?control=no%2Fsuch", "/changes?since=x", "/enforce?stage=x", "/enforce?order=x", "/enforce?control=x",
		f.planned() + "?stage=x", f.planned() + "?order=x", scopes + "?rung=x", scopes + "?order=x", "/ledger?kind=x", "/ledger?order=x", "/findings?q=" + strings.Repeat("x", 301), "/findings?namespace=" + strings.Repeat("x", 64), "/workloads?namespace=" + strings.Repeat("x", 64)} {
		status, text := d.get(t, path)
		name, _, _ := strings.Cut(path[strings.Index(path, "?")+1:], "=")
		if status != http.StatusUnprocessableEntity && status != http.StatusBadRequest || !strings.Contains(text, name) {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestPagesBack goes on page by page, and back the same way, by links alone.
func TestPagesBack(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", newBook(t, 200))
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	prev := regexp.MustCompile(`href="([^"]*)" rel="prev"`)
	shown := regexp.MustCompile(`(?s)<nav class="pager".*?<p>([^<]*)</p>`)
	for _, path := range []string{"/findings?severity=high", "/workloads", "/workloads?order=findings", "/runs?trigger=schedule", "/alerts?state=all", "/activity?order=oldest", "/ledger", "/ledger?order=oldest", "/namespaces?order=name", "/changes", "/changes?order=oldest", "/enforce", f.planned(), "/controls/compute/pod-security/scopes"} {
		var seen []string
		at := path
		for at != "" && len(seen) < 4 {
			_, text := d.get(t, at)
			seen = append(seen, shown.FindStringSubmatch(text)[1])
			at = ""
			if m := next.FindStringSubmatch(text); m != nil && len(seen) < 4 {
				at = html.UnescapeString(m[1])
				continue
			}
			for i := len(seen) - 2; i >= 0; i-- {
				m := prev.FindStringSubmatch(text)
				if m == nil {
					t.Fatalf("%s: no way back from %s", path, seen[i+1])
				}
				address := html.UnescapeString(m[1])
				_, text = d.get(t, address)
				if got := shown.FindStringSubmatch(text)[1]; got != seen[i] {
					t.Errorf("%s: back from %s is %s, not %s", path, seen[i+1], got, seen[i])
				}
			}
			if prev.MatchString(text) || len(seen) < 2 {
				t.Errorf("%s: something before the first page, or no second: %s", path, seen)
			}
		}
	}
	// However far somebody goes on, the address stays short, and leads back; what is wrong in it leads nowhere.
	at := "/findings?cursor=50&at=50&back=" + strings.Repeat("50~"+strings.Repeat("c", 90)+".", 20) + "100~50"
	_, text := d.get(t, at)
	m := next.FindStringSubmatch(text)
	if m == nil || len(m[1]) > 2300 || !strings.HasSuffix(mustQuery(t, m[1]).Get("back"), "100~50.50~50") {
		t.Errorf("the address after a long way: %v", m)
	}
	for _, back := range []string{"x", "1~", "-1~50", "~~", strings.Repeat("1~5.", 600)} {
		status, text := d.get(t, "/findings?cursor=50&at=50&back="+url.QueryEscape(back))
		if status != http.StatusOK || back != "1~" && prev.MatchString(text) {
			t.Errorf("back=%.20s: %d", back, status)
		}
	}
}

func mustQuery(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(html.UnescapeString(address))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// TestCutLists: a page that shows the first of a list says so, and leads to all of it.
func TestCutLists(t *testing.T) {
	f := newFixture()
	admin, tenant := start(t, f, "admin", nil), start(t, f, "tenant", nil)
	const control = "/controls/compute/pod-security"
	for path, want := range map[string][]string{
		control:                       {`The first 12 that are a gap or unknown: <a href="` + control + `/scopes?rung=low">`, `<a href="/changes?control=compute%2Fpod-security">All changes</a>`, `These are the newest 4.`, `href="` + control + `/scopes?rung=gap"`},
		"/enforce":                    {`<p class="more"><a href="` + f.planned() + `">All 120 places</a>`},
		"/enforce?namespace=payments": {`<a class="soft" href="` + f.planned() + `?namespace=payments">`},
	} {
		_, text := admin.get(t, path)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %s", path, w)
			}
		}
	}
	if status, _ := tenant.get(t, f.planned()); status != http.StatusForbidden {
		t.Errorf("who may not see guards is shown one: %d", status)
	}
	for _, path := range []string{"/enforce/compute/pod-security/none", "/controls/no/such/scopes"} {
		if status, _ := admin.get(t, path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestFleet shows each cluster that may be seen, with the way to it.
func TestFleet(t *testing.T) {
	f := newFixture()
	f.many = true
	admin, tenant := start(t, f, "admin", nil), start(t, f, "tenant", nil)
	for path, want := range map[string][]string{
		"/clusters":                {`<a class="lead" href="/">prod-eu-west-1</a>`, `<a class="lead" href="/?cluster=spoke-1">`, `href="/findings?cluster=spoke-2"`, "out of sight</span> <time"},
		"/clusters?state=lost":     {`href="/?cluster=spoke-1">edge-`, "1–1 of 1"},
		"/clusters?order=heard":    {`aria-sort="ascending"><a href="/clusters?order=heard">Last heard`},
		"/clusters?order=findings": {`aria-sort="descending"><a href="/clusters?order=findings">Findings`},
		"/findings":                {`<a href="/clusters">`},
	} {
		_, text := admin.get(t, path)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %s", path, w)
			}
		}
	}
	if _, text := tenant.get(t, "/clusters"); strings.Contains(text, "spoke-2") {
		t.Error("a tenant is shown a cluster of others")
	}
	_, text := admin.get(t, "/clusters?format=csv")
	if rows, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil || len(rows) != 4 {
		t.Errorf("%v: %s", err, text)
	}
}

// TestChooser: pages of a large fleet name a few clusters, always the shown one, and lead to all of them.
func TestChooser(t *testing.T) {
	f := newFixture()
	f.spokes = 200
	admin := start(t, f, "admin", nil)
	const near = 20
	find := `<form class="field" action="/clusters">`
	for path, want := range map[string][]string{
		"/findings":                        {`<a href="/" aria-current="true">`, `href="/?cluster=site-000"`, find, `<a href="/clusters">All, side by side`},
		"/findings?cluster=site-150":       {`href="/?cluster=site-150" aria-current="true"`, `href="/?cluster=site-000"`, find},
		"/clusters?cluster=site-150&q=199": {`<a class="lead" href="/?cluster=site-199">`},
	} {
		_, text := admin.get(t, path)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %s", path, w)
			}
		}
		_, menu, _ := strings.Cut(text, `id="clusters"`)
		menu, _, _ = strings.Cut(menu, "</ul>")
		if n := strings.Count(menu, "<li>"); n != near {
			t.Errorf("%s names %d clusters, want %d", path, n, near)
		}
	}
	f.spokes = near - 1
	if _, text := admin.get(t, "/findings"); strings.Contains(text, find) || !strings.Contains(text, fmt.Sprintf("cluster=site-%03d", f.spokes-1)) {
		t.Error("a small fleet is not named whole")
	}
}
