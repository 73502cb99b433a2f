package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// left gives what an envelope of so many bytes keeps of an event that comes in parts.
func left(most int, parts ...[]byte) *envelope {
	e := &envelope{most: most}
	for _, part := range parts {
		e.take(part)
	}
	return e
}

// TestEnvelope: of an event that is too long, the answer goes first, then what was sent, and what is
// around them stays.
func TestEnvelope(t *testing.T) {
	const head, tail = `{"kind":"Event","user":{"username":"a\\\"}","requestObject":{"x":1}},"requestObject":`, `,"annotations":{"responseObject":"[{"},"auditID":"x"}`
	sent, answer := `{"a":["}",{"requestObject":"\\"}]}`, `,"responseObject":[{"requestObject":{}},"]"]`
	for _, c := range []struct {
		most int
		want string
		cut  bool
	}{
		{len(head + sent + `,"responseObject":[]` + tail), head + sent + `,"responseObject":[]` + tail, false},
		{len(head + `{},"responseObject":[]` + tail), head + `{},"responseObject":[]` + tail, true},
		{len(head+`{},"responseObject":[]`+tail) - 1, "", true},
		{len(head) - 1, "", false},
	} {
		e := left(c.most, []byte(head+sent+answer+tail))
		if got := string(e.rest()); got != c.want || e.cut != c.cut {
			t.Errorf("%d bytes: cut %t, %s\nwant %t, %s", c.most, e.cut, got, c.cut, c.want)
		}
	}
}

// FuzzEnvelope: whatever comes, what is kept is within the bound, the same however it is cut into parts
// and whether or not it shares a buffer, and an event is the same but for what was sent and answered.
func FuzzEnvelope(f *testing.F) {
	for _, text := range []string{`{"a":"b","requestObject":{"c":[1,2,"\\""]},"responseObject":{"d":{}},"e":{"requestObject":[]}}`, `{"requestObject":"s","responseObject":null}`, `}]{"":`, strings.Repeat(`[`, 50)} {
		f.Add([]byte(text), 20, 5)
		f.Add([]byte(text), 200, 1)
	}
	f.Fuzz(func(t *testing.T, text []byte, most, at int) {
		most = max(most, 0)
		at = min(max(at, 0), len(text))
		e := left(most, text)
		if len(e.kept) > most {
			t.Fatalf("%d bytes are kept, of at most %d", len(e.kept), most)
		}
		buffer := slices.Clone(text)
		shared := &envelope{kept: buffer[:0], most: most}
		shared.take(buffer)
		for _, other := range []*envelope{left(most, text[:at], text[at:]), shared} {
			if !bytes.Equal(other.rest(), e.rest()) || other.cut != e.cut {
				t.Fatalf("%q and %q are left of %q", e.rest(), other.rest(), text)
			}
		}
		var was, is map[string]json.RawMessage
		if e.over || json.Unmarshal(text, &was) != nil || was == nil {
			return
		}
		if err := json.Unmarshal(e.rest(), &is); err != nil || len(is) != len(was) {
			t.Fatalf("%q became %q: %v", text, e.rest(), err)
		}
		for name, value := range was {
			if got := string(is[name]); got != string(value) && (bodies[name] == noBody || got != "{}" && got != "[]") {
				t.Fatalf("%s of %q became %q", name, text, got)
			}
		}
	})
}
