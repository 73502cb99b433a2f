package main

import (
	"testing"

	"github.com/baileyhq/bailey"
)

// TestPatchedObjectFrom makes the operations for the object as it is given later,
// so that they undo nothing that it has then.
func TestPatchedObjectFrom(t *testing.T) {
	fact := &bailey.Fact{Ref: bailey.Ref{Kind: "Shop.example.com", Name: "a"}, APIVersion: "example.com/v1"}
	given := `{"apiVersion":"example.com/v1","kind":"Shop","metadata":{"name":"a"}}`
	later := `{"apiVersion":"example.com/v1","kind":"Shop","metadata":{"name":"a"},"spec":{"tls":{"min":"1.2"}}}`
	want := `{"apiVersion":"example.com/v1","kind":"Shop","metadata":{"name":"a"},"spec":{"tls":{"min":"1.2","on":true}}}`
	o, err := newPatchedObject(fact, []byte(given))
	if err != nil {
		t.Fatal(err)
	}
	if o, err = o.with([]bailey.PatchOp{
		{Op: "add", Path: "/spec", Value: map[string]any{}}, {Op: "add", Path: "/spec/tls", Value: map[string]any{}}, {Op: "add", Path: "/spec/tls/on", Value: true},
	}); err != nil {
		t.Fatal(err)
	}
	if o, err = o.from([]byte(later)); err != nil {
		t.Fatal(err)
	}
	text, err := o.patch()
	if err != nil {
		t.Fatal(err)
	}
	got, err := patchedAs([]byte(later), map[string]any{"target": o.target, "patch": text})
	if err != nil || !sameJSON(t, got, want) {
		t.Errorf("with\n%s\ngot\n%s\nwant\n%s\n%v", text, got, want, err)
	}
}
