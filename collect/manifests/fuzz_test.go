package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/baileyhq/bailey"
)

// checkFacts holds for whatever was read: facts can be encoded, and a position
// that is given lies in the input.
func checkFacts(t *testing.T, s *bailey.Snapshot, lines int) {
	for _, k := range s.Kinds() {
		for _, f := range s.List(k, "") {
			if f.Name == "" {
				t.Errorf("a %s without a name is a fact", f.Kind)
			}
			if _, err := json.Marshal(f.Object); err != nil {
				t.Errorf("%s cannot be encoded: %v", f.Ref, err)
			}
			for _, field := range []string{"", "spec", "spec.containers[0].image", `metadata.labels["a.b/c"]`, "spec.x[", `a["`, "[3]", "..", "a[0][1]"} {
				if at := f.Source.At(field); at.Line < 0 || lines > 0 && (at.Line > lines || at.Line == 0) {
					t.Errorf("%s of %s is in line %d of %d", field, f.Ref, at.Line, lines)
				}
			}
		}
	}
}

func FuzzDocuments(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if isManifest(file.Name) {
				f.Add(file.Data)
			}
		}
	}
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\napiVersion: v1\nkind: Thing\nmetadata: {name: x}\n"))
	f.Add([]byte("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Collect(context.Background(), []string{"-"}, Options{Stdin: bytes.NewReader(data)})
		if err != nil {
			t.Fatal(err)
		}
		lines := 1
		for i, c := range data {
			if c == '\n' || c == '\r' && (i+1 == len(data) || data[i+1] != '\n') {
				lines++
			}
		}
		// YAML knows three more line breaks.
		for _, mark := range []string{"\u0085", "\u2028", "\u2029"} {
			lines += bytes.Count(data, []byte(mark))
		}
		checkFacts(t, s, lines)
	})
}

func FuzzChart(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n", "a: b\n")
	f.Add("{{ range until 3 }}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: x{{ . }}}\n{{ end }}", "")
	f.Add("{{- define \"x\" -}}{{ .Values.a | nindent 2 | quote }}{{- end -}}\n{{ include \"x\" . }}", "a: {b: c}")
	f.Add("{{ tpl .Values.t . }}{{ toYaml .Values }}{{ randAlphaNum 5 }}{{ (genCA \"x\" 1).Cert }}{{ lookup \"v1\" \"Secret\" \"a\" \"b\" }}", "t: '{{ .Release.Name }}'")
	f.Fuzz(func(t *testing.T, template, values string) {
		folder := filepath.Join(t.TempDir(), "chart")
		write(t, folder, "Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
		write(t, folder, "values.yaml", values)
		write(t, folder, "templates/a.yaml", template)
		s, err := Collect(context.Background(), []string{folder}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkFacts(t, s, 0)
	})
}

// refuser is a transport that notes that somebody asked for the network.
type refuser struct{ asked bool }

func (r *refuser) RoundTrip(*http.Request) (*http.Response, error) {
	r.asked = true
	return nil, errors.New("no network")
}

// A kustomization can name addresses and repositories in many ways; none may
// be asked.
func FuzzKustomization(f *testing.F) {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
	f.Add("resources: [a.yaml]\nnamePrefix: x-\n", object)
	f.Add("resources: [a.yaml, https://example.com/x.yaml]\n", object)
	f.Add("resources: [github.com/a/b, git@example.com:a/b, 'git::https://x/y', 'file:///tmp', './/x?ref=y']\n", object)
	f.Add("namePrefix: x-\nresources: [a.yaml]\ncomponents: [https://x/y]\nconfigMapGenerator: [{name: m, files: ['x=https://x/y'], literals: [a=b]}]\n", object)
	f.Add("transformers: [a.yaml]\n", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p}\npath: https://example.com/x\n")
	f.Add("transformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: p}\n  path: https://example.com/x\n", object)
	f.Add("generators: [a.yaml]\nnameSuffix: y\n", "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: p}\nfiles: [https://example.com/x]\n")
	f.Add("resources: [a.yaml]\npatches: [{path: 'https://x/y'}, {target: {kind: ConfigMap}, patch: '[{\"op\": \"add\", \"path\": \"/data\", \"value\": {}}]'}]\nopenapi: {path: 'http://x'}\nreplacements: [{path: 'HTTPS://x'}]\ncrds: ['http://x']\n", object)
	f.Add("helmCharts: [{name: x, repo: 'https://example.com'}]\n", object)
	f.Add("commonLabels: {a: b}\nbases: [a.yaml]\nvars: [{name: A, objref: {kind: ConfigMap, name: a, apiVersion: v1}}]\npatchesStrategicMerge: [a.yaml, '{apiVersion: v1}']\n", object)
	f.Fuzz(func(t *testing.T, kustomization, resource string) {
		network := &refuser{}
		before := http.DefaultTransport
		http.DefaultTransport = network
		defer func() { http.DefaultTransport = before }()
		t.Setenv("PATH", "/nowhere")

		folder := t.TempDir()
		write(t, folder, "kustomization.yaml", kustomization)
		write(t, folder, "a.yaml", resource)
		s, err := Collect(context.Background(), []string{folder}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkFacts(t, s, 0)
		if network.asked {
			t.Errorf("the network was asked for something")
		}
		for _, skip := range s.Meta.Targets[0].Skipped {
			if strings.Contains(skip.Why, "'git' program") || strings.Contains(skip.Why, "executable file not found") {
				t.Errorf("a program was started: %s", skip.Why)
			}
		}
	})
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
