package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/controls"
)

func oscalSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/oscal/subset-1.1.3.json")
	if err != nil {
		t.Fatal(err)
	}
	return compileSchema(t, text)
}

// platformReport judges the sample platform by the real catalogue, with
// evidence of the experiments that there are.
func platformReport(t *testing.T, evidence bool) *bailey.Report {
	t.Helper()
	s, err := manifests.Collect(t.Context(), []string{"../testdata/platform"}, manifests.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	all := controls.All()
	var o check.Options
	for _, c := range all {
		for _, x := range c.Experiments {
			if !evidence {
				continue
			}
			for _, ns := range []string{"shop", "ci"} {
				e := tried(c.ID, x.Name, ns, 2*time.Hour, 16, 0, "create", "ephemeral containers")
				e.Danger = x.Danger
				if ns == "ci" {
					e.Paths[1].Held, e.Paths[1].Broken, e.Paths[1].Why = 15, 1, []string{"host namespaces: created"}
				}
				o.Evidence = append(o.Evidence, e)
			}
		}
	}
	r, err := check.Judge(t.Context(), s, all, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func oscalReports(t *testing.T) map[string]*bailey.Report {
	reports := fixtures()
	reports["platform"] = platformReport(t, false)
	reports["platform, tried"] = platformReport(t, true)
	return reports
}

// bundle is what a reader has of one output: the documents by file name, those
// inside of others among them.
type bundle map[string]any

// open reads a document, and what it holds of others.
func (b bundle) open(t testing.TB, name string, text []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b[name] = doc
	walk(doc, func(_ string, v any) {
		m, _ := v.(map[string]any)
		held, ok := m["base64"].(map[string]any)
		if !ok {
			return
		}
		value, err := base64.StdEncoding.DecodeString(held["value"].(string))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if inner := held["filename"].(string); b[inner] == nil {
			b.open(t, inner, value)
		}
	})
}

// walk calls a function for every value, with the key that it stands under.
func walk(v any, f func(key string, v any)) {
	var down func(key string, v any)
	down = func(key string, v any) {
		f(key, v)
		switch v := v.(type) {
		case map[string]any:
			for k, child := range v {
				down(k, child)
			}
		case []any:
			for _, child := range v {
				down(key, child)
			}
		}
	}
	down("", v)
}

// bundles renders a report both ways.
func bundles(t testing.TB, r *bailey.Report, o Options) map[string]bundle {
	t.Helper()
	one, several := bundle{}, bundle{}
	one.open(t, oscalResultsFile, []byte(render(t, "oscal", r, o)))
	f, err := Lookup("oscal")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, d := range f.Documents(r, o) {
		var text bytes.Buffer
		if err := d.Render(&text); err != nil {
			t.Fatal(err)
		}
		files[d.Name] = text.Bytes()
		several.open(t, d.Name, text.Bytes())
	}
	if len(files) != 3 {
		t.Fatalf("%d files, want results, plan and component definition", len(files))
	}
	// What the files say of one another is so.
	for name := range files {
		walk(several[name], func(_ string, v any) {
			m, _ := v.(map[string]any)
			links, _ := m["rlinks"].([]any)
			for _, l := range links {
				link := l.(map[string]any)
				text := files[link["href"].(string)]
				hashes, _ := link["hashes"].([]any)
				if text == nil || len(hashes) != 1 {
					t.Fatalf("%s points to %v", name, link["href"])
				}
				sum := sha256.Sum256(text)
				if got := hashes[0].(map[string]any)["value"]; got != hex.EncodeToString(sum[:]) {
					t.Errorf("%s: the hash of %v is %v", name, link["href"], got)
				}
			}
		})
	}
	return map[string]bundle{"one document": one, "files": several}
}

// oscalRead is what a reader of the results looks at.
type oscalRead struct {
	Results struct {
		UUID    string
		Results []struct {
			UUID, Start, End string
			Reviewed         struct {
				Selections []struct {
					Include []struct {
						ID string `json:"control-id"`
					} `json:"include-controls"`
				} `json:"control-selections"`
			} `json:"reviewed-controls"`
			Observations []struct {
				UUID, Collected, Expires, Remarks, Description string
				Methods, Types                                 []string
				Props                                          []oscalProp
				Evidence                                       []struct{ Href string } `json:"relevant-evidence"`
				Subjects                                       []oscalSubject
			}
			Risks []struct {
				UUID, Title, Status, Deadline, Statement string
				Props                                    []oscalProp
				Mitigating                               []oscalMitigation `json:"mitigating-factors"`
			}
			Findings []struct {
				UUID, Title  string
				Props        []oscalProp
				Target       oscalTarget
				Observations []oscalRelatedObservation `json:"related-observations"`
				Risks        []oscalRelatedRisk        `json:"related-risks"`
			}
		}
		BackMatter oscalBackMatter `json:"back-matter"`
	} `json:"assessment-results"`
}

func readOSCAL(t *testing.T, r *bailey.Report, o Options) *oscalRead {
	t.Helper()
	var doc oscalRead
	if err := json.Unmarshal([]byte(render(t, "oscal", r, o)), &doc); err != nil {
		t.Fatal(err)
	}
	return &doc
}

func values(props []oscalProp, name string) []string {
	var all []string
	for _, p := range props {
		if p.Name == name {
			all = append(all, p.Value)
		}
	}
	return all
}
