package manifests

import (
	"bytes"
	"strings"
)

// guess is what a document that cannot be parsed seems to be.
type guess struct {
	isObject                          bool
	apiVersion, kind, namespace, name string
}

// guessObject reads a document's unindented lines, and those right below
// metadata. Of a document with several kinds it guesses none.
func guessObject(data []byte) guess {
	g := guess{isObject: bytes.Contains(data, []byte("apiVersion")) && bytes.Contains(data, []byte("kind"))}
	section := ""
	kinds := 0
	for line := range bytes.Lines(data[:min(len(data), 1<<20)]) {
		text := strings.TrimRight(string(line[:min(len(line), 512)]), " \r\n")
		name, value, found := strings.Cut(strings.TrimLeft(text, " "), ":")
		if !found {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), "\"'")
		if strings.ContainsAny(value, "{}[]*& \t") {
			value = ""
		}
		if indent := len(text) - len(strings.TrimLeft(text, " ")); indent == 0 {
			section = name
			switch name {
			case "apiVersion":
				g.apiVersion = value
			case "kind":
				g.kind = value
				kinds++
			}
		} else if section == "metadata" && indent <= 4 {
			switch name {
			case "name":
				g.name = value
			case "namespace":
				g.namespace = value
			}
		}
	}
	if kinds > 1 || g.kind == "List" {
		g.kind = ""
	}
	return g
}
