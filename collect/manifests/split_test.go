package manifests

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/baileyhq/bailey"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		text  string
		chart bool
		want  string // line and first line of each chunk
	}{
		{"", false, ""},
		{"# only\n---\n# comments\n...\n", false, ""},
		{"a: 1\n---\nb: 2\n", false, "0 a: 1; 1 ---"},
		{"---\na: 1\n--- # x\nb: 2\n---", false, "0 ---; 2 --- # x"},
		{"a: |\n  ---\n  b\n---x: 1\n----\n", false, "0 a: |"},
		{"a: 1\n---# glued\nb: 2\n", true, "0 a: 1; 1 # glued"},
		{"a: 1\n---# glued\nb: 2\n", false, "0 a: 1"},
		{"%YAML 1.1\n# x\n---\na: 1\n---\nb: 2\n", false, "0 %YAML 1.1; 4 ---"},
		{"\xef\xbb\xbfa: 1\r\n---\r\nb: 2\r\n", false, "0 a: 1\r; 1 ---\r"},
	} {
		var got []string
		for c := range func(yield func(chunk) bool) { split([]byte(test.text), test.chart, yield) } {
			first, _, _ := strings.Cut(string(c.data), "\n")
			got = append(got, fmt.Sprintf("%d %s", c.line, first))
		}
		if list := strings.Join(got, "; "); list != test.want {
			t.Errorf("%q is cut into %q, want %q", test.text, list, test.want)
		}
	}
}

// A long List is read in parts, and every object is found where it is.
func TestLongList(t *testing.T) {
	var b strings.Builder
	b.WriteString("---\napiVersion: v1\nitems:\n")
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&b, "- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: c%d\n  data:\n    a: |-\n      - b\n", i)
	}
	b.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	parts := 0
	split([]byte(b.String()), false, func(chunk) bool { parts++; return true })
	if parts < 10 {
		t.Errorf("the list was cut into %d parts", parts)
	}
	s := collectText(t, b.String())
	if s.Len() != n || len(s.Meta.Targets[0].Skipped)+len(s.Meta.Targets[0].Ignored) > 0 {
		t.Fatalf("%d objects, %+v", s.Len(), s.Meta.Targets)
	}
	for _, i := range []int{0, 1, 9_999, n - 1} {
		f := s.Get(bailey.Ref{Kind: bailey.KindConfigMap, Namespace: "default", Name: fmt.Sprintf("c%d", i)})
		if at := f.Source.At("metadata.name"); at.Line != 7*i+7 || at.Column != 5 {
			t.Errorf("the name of %s is in %d:%d, want line %d", f.Ref, at.Line, at.Column, 7*i+7)
		}
	}
}

// However a stream is cut into blocks, its documents and their lines are the
// same.
func TestBlocks(t *testing.T) {
	text := "# first\n---\na: 1\n---x\n--- # two\nb: |\n  ---\n  c\n%YAML 1.1\n# d\n---\ne: 1\n...\n---\n---\nf: 1\n---"
	chunks := func(size int64) string {
		var all []string
		c := &collector{budget: maxTotal}
		err := c.readBlocks(iotest.OneByteReader(strings.NewReader(text)), size, func(data []byte, line int) {
			split(data, false, func(c chunk) bool {
				all = append(all, fmt.Sprintf("%d %q", line+c.line, c.data))
				return true
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	want := chunks(1 << 20)
	if strings.Count(want, "\n") < 3 {
		t.Fatalf("the whole is cut into\n%s", want)
	}
	for size := int64(1); size < int64(len(text))+2; size++ {
		if got := chunks(size); got != want {
			t.Errorf("in blocks of %d:\n%s\nwant\n%s", size, got, want)
		}
	}
}

func TestTooMuch(t *testing.T) {
	c := &collector{budget: 100}
	if err := c.readBlocks(strings.NewReader(strings.Repeat("a", 200)), 10, func([]byte, int) {}); err == nil || !strings.Contains(err.Error(), "together") {
		t.Errorf("got %v", err)
	}
}
