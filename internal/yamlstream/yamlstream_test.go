package yamlstream

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// cut gives the stream's documents.
func cut(stream []byte, loose bool) []string {
	var all []string
	for len(stream) > 0 {
		n := First(stream, loose)
		all = append(all, string(stream[:n]))
		stream = stream[n:]
	}
	return all
}

func TestFirst(t *testing.T) {
	for stream, want := range map[string][]string{
		"a: 1\n":                       {"a: 1\n"},
		"a: 1\n---\nb: 2\n":            {"a: 1\n", "---\nb: 2\n"},
		"a: 1\n--- b\n---\tc\n---":     {"a: 1\n", "--- b\n", "---\tc\n", "---"},
		"a: |\n  x\n---b\n----\n":      {"a: |\n  x\n---b\n----\n"},
		"---\na: 1\r\n---\r\nb: 2\n":   {"---\na: 1\r\n", "---\r\nb: 2\n"},
		"%YAML 1.2\n---\na: 1\n":       {"%YAML 1.2\n---\na: 1\n"},
		"# c\n\n%YAML 1.2\n---\n---\n": {"# c\n\n%YAML 1.2\n---\n", "---\n"},
		"a: 1\n...\n%YAML 1.2\n---\nb": {"a: 1\n...\n%YAML 1.2\n", "---\nb"},
	} {
		if got := cut([]byte(stream), false); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", stream, got, want)
		}
	}
	if got := cut([]byte("a: 1\n---# Source\nb: 2\n---c: 3\n"), true); !slices.Equal(got, []string{"a: 1\n", "---# Source\nb: 2\n", "---c: 3\n"}) {
		t.Errorf("%q", got)
	}
}

func TestIsBlank(t *testing.T) {
	for document, want := range map[string]bool{
		"": true, "---": true, "---\n# c\n\n": true, "...\n": true, "--- # c": true, "... # c\n": true,
		"---\na": false, "# c\na: 1\n": false, ".": false, "--- |\n": false,
	} {
		if got := IsBlank([]byte(document)); got != want {
			t.Errorf("%q: %t", document, got)
		}
	}
}

// FuzzCut: the parts make up the stream, Last is where one begins, and a parser finds as many
// documents in the parts as in the whole.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"a: 1\n---\nb: 2\n", "%YAML 1.1\n---\na\n", "a: |\n  x\n---\nb\n...\n---\n# c\n", "--- a\n--- b\n---", "\n---\n\n---b\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stream := []byte(text)
		for _, loose := range []bool{false, true} {
			parts := cut(stream, loose)
			if strings.Join(parts, "") != text {
				t.Fatalf("%q became %q", text, parts)
			}
			for _, part := range parts {
				if part == "" {
					t.Fatalf("%q has an empty part", text)
				}
			}
		}
		if at := Last(stream); at != 0 && !bytes.HasPrefix(stream[at:], []byte("---")) {
			t.Errorf("%q: no document begins at %d", text, at)
		}
		whole, ok := count(stream)
		if !ok {
			return
		}
		sum := 0
		for _, part := range cut(stream, false) {
			n, ok := count([]byte(part))
			if !ok {
				return // a directive of an earlier document, or an alias of one
			}
			sum += n
		}
		if sum != whole {
			t.Errorf("%q: %d documents in its parts, %d in the whole", text, sum, whole)
		}
	})
}

// count gives how many documents with a value the parser finds.
func count(stream []byte) (n int, ok bool) {
	d := yaml.NewDecoder(bytes.NewReader(stream))
	for {
		var node yaml.Node
		switch err := d.Decode(&node); err {
		case nil:
			if node.Kind == yaml.DocumentNode && len(node.Content) > 0 && node.Content[0].Tag != "!!null" {
				n++
			}
		case io.EOF:
			return n, true
		default:
			return n, false
		}
	}
}
