package main

import "testing"

// TestStrategicPatchLater holds a patch to what a base sets after it was made: that
// stays, and what the base no longer has is no error.
func TestStrategicPatchLater(t *testing.T) {
	before := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"hostPID":true,"containers":[{"name":"a","image":"a"}]}}`
	wanted := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"securityContext":{"runAsNonRoot":true},"containers":[{"name":"a","image":"a","securityContext":{"privileged":false}}]}}`
	later := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"securityContext":{"fsGroup":1},"containers":[{"name":"a","image":"a","securityContext":{"runAsUser":1}},{"name":"b","image":"b"}]}}`
	want := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"image":"a","name":"a","securityContext":{"privileged":false,"runAsUser":1}},{"image":"b","name":"b"}],"securityContext":{"fsGroup":1,"runAsNonRoot":true}}}`
	text, err := strategicText([]byte(before), "a", strategicPatch([]byte(before), []byte(wanted)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := patchedAs([]byte(later), map[string]any{"target": map[string]any{"kind": "Pod", "name": "a"}, "patch": text})
	if err != nil {
		t.Fatal(err)
	}
	if !sameJSON(t, got, want) {
		t.Errorf("with\n%s\ngot\n%s\nwant\n%s", text, got, want)
	}
	if patch := strategicPatch([]byte(`{"apiVersion":"example.com/v1","kind":"Shop"}`), []byte(`{"apiVersion":"example.com/v1","kind":"Shop","spec":{}}`)); patch != nil {
		t.Errorf("a kind that is not built in has the patch %v", patch)
	}
}
