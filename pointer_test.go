package bailey_test

import (
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
)

func TestPointer(t *testing.T) {
	for pointer, path := range map[string][]string{
		"":                           nil,
		"/":                          {""},
		"/spec/containers/0":         {"spec", "containers", "0"},
		"/metadata/labels/a.io~1b":   {"metadata", "labels", "a.io/b"},
		"/~01/~10/~0~1":              {"~1", "/0", "~/"},
		"/metadata/annotations/~0~0": {"metadata", "annotations", "~~"},
	} {
		if got := bailey.PointerPath(pointer); !slices.Equal(got, path) {
			t.Errorf("%q leads down %q, want %q", pointer, got, path)
		}
		if got := bailey.Pointer(path...); got != pointer {
			t.Errorf("%q has the pointer %q, want %q", path, got, pointer)
		}
	}
}
