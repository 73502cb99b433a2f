package settings

import (
	"maps"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// Document is the file that a flag of a component names.
type Document struct {
	// Path is the file; empty where the flag is not set.
	Path string
	// Content is what was read of it: by a scan of the machine, and nothing otherwise.
	Content map[string]any
	// Whole tells that all of it was kept: no secret was taken out.
	Whole bool
}

// DocumentOf gives the file that a flag names, of a component that may be nil.
func DocumentOf(c *bailey.Component, flag string) Document {
	if c == nil || c.Flags[flag] == "" {
		return Document{}
	}
	content := c.Files[flag]
	return Document{Path: c.Flags[flag], Content: content, Whole: content != nil && !withoutParts(content)}
}

// withoutParts reports whether a class stands in the place of a text.
func withoutParts(value any) bool {
	switch v := value.(type) {
	case string:
		return bailey.HoldsRedacted(v)
	case map[string]any:
		for _, inner := range v {
			if withoutParts(inner) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if withoutParts(inner) {
				return true
			}
		}
	}
	return false
}

// With gives the document as text, with another value of one field. It fails where what was
// read has no YAML.
func (d Document) With(field string, value any) (string, error) {
	next := maps.Clone(d.Content)
	next[field] = value
	text, err := yaml.Marshal(next)
	return string(text), err
}

// NotWritten is the want of a flag whose file was read, and cannot be written again with what
// should be in it.
func (d Document) NotWritten(flag, why string, err error) Want {
	return Want{Setting: bailey.Setting{Flag: flag, Why: why, Note: "the file that it names, " + d.Path + ", was read, and cannot be written again (" + err.Error() + "): change it by hand"},
		Holds: func(*bailey.Component) bool { return false }, Look: true}
}

// Beside gives the whole path of a file that the document names, which may be relative to it.
func (d Document) Beside(file string) string {
	if path.IsAbs(file) {
		return file
	}
	return path.Join(path.Dir(d.Path), file)
}

// LookAt is the want of a flag whose file must not be replaced, since what it holds was not
// seen whole: a person is told what to do with it.
func (d Document) LookAt(flag, why, todo string) Want {
	seen := "was not seen, and `bailey scan host` on its machine reads it"
	if d.Content != nil {
		seen = "holds credentials, which were not kept"
	}
	return Want{Setting: bailey.Setting{Flag: flag, Why: why, Note: "the file that it names, " + d.Path + ", " + seen + ": " + todo},
		Holds: func(*bailey.Component) bool { return false }, Look: true}
}
