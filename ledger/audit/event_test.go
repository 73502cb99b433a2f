package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const sample = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[
{"level":"Metadata","auditID":"8f2d","stage":"ResponseComplete","requestURI":"/api?x=\"]}","verb":"get","user":{"username":"a","groups":[]},
 "requestReceivedTimestamp":"2026-11-25T10:00:00.000001Z","stageTimestamp":"2026-11-25T10:00:00.500000Z","annotations":{"a":null}},
{"level":"Request","auditID":"\u0038f2e","stage":"RequestReceived","requestObject":{"n":[1,-2.5e+3,true,{}]},
 "requestReceivedTimestamp":"2026-11-25T10:00:01.000000Z","stageTimestamp":"2026-11-25T10:00:01.000000Z"}]}`

func TestParseEventList(t *testing.T) {
	events, err := ParseEventList([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	first, second := events[0], events[1]
	if first.AuditID != "8f2d" || first.Stage != "ResponseComplete" || first.At-first.Received != 499_999 {
		t.Errorf("the first is %+v", first)
	}
	if second.AuditID != "8f2e" || second.Stage != "RequestReceived" || second.At != second.Received {
		t.Errorf("the second is %+v", second)
	}
	if !json.Valid(first.Raw) || !bytes.HasPrefix(first.Raw, []byte(`{"level":"Metadata"`)) || !bytes.HasSuffix(first.Raw, []byte(`{"a":null}}`)) {
		t.Errorf("the first's bytes are %s", first.Raw)
	}
}

func TestParseEventListRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":         ``,
		"another kind":    `{"kind":"Event","apiVersion":"audit.k8s.io/v1"}`,
		"an old version":  `{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[]}`,
		"two lists":       `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[],"items":[{}]}`,
		"two audit IDs":   `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"a","auditID":"b"}]}`,
		"cut off":         sample[:len(sample)-3],
		"more after it":   sample + "{}",
		"no event":        `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[3]}`,
		"too deep":        `{"items":[{"a":` + strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2) + `}],"kind":"EventList","apiVersion":"audit.k8s.io/v1"}`,
		"a number for ID": `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":3}]}`,
	} {
		if events, err := ParseEventList([]byte(body)); err == nil {
			t.Errorf("%s: taken, as %d events", name, len(events))
		}
	}
}

// The same event is one record whether it came in a list or as a line of the log,
// and two events under one audit ID are two: whoever makes a request chooses its ID.
func TestRecordID(t *testing.T) {
	const rest = `"level":"Metadata","auditID":"x","stage":"ResponseComplete","verb":"get"}`
	parse := func(text string) string {
		t.Helper()
		e, err := ParseEvent([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return e.RecordID()
	}
	item := parse(`{` + rest)
	if line := parse(`{"kind":"Event","apiVersion":"audit.k8s.io/v1",` + rest + "\n"); line != item {
		t.Errorf("a line is %s, an item %s", line, item)
	}
	if other := parse(`{` + strings.Replace(rest, "get", "delete", 1)); other == item {
		t.Errorf("another event under the same audit ID is the same record: %s", other)
	}
	if !strings.HasPrefix(item, "audit/x/ResponseComplete/") {
		t.Errorf("the id is %s", item)
	}
	long := parse(`{"auditID":"` + strings.Repeat("a/ ", 500) + `","stage":"é"}`)
	if len(long) > 256 || strings.Count(long, "/") != 3 {
		t.Errorf("an odd audit ID makes the id %s", long)
	}
}

// FuzzParseEventList compares the scanner with encoding/json.
func FuzzParseEventList(f *testing.F) {
	for _, seed := range []string{sample, `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":null}`, `{"items":[{}, {"a":[]}]}`, `[]`,
		"{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{\"stage\":\"\xff\\ud800\",\"x\":-0.0e1}]}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		events, err := ParseEventList(body)
		var want struct {
			Items []json.RawMessage `json:"items"`
		}
		if err != nil {
			return
		}
		if oracle := json.Unmarshal(body, &want); oracle != nil && strings.Contains(oracle.Error(), "max depth") {
			return
		} else if oracle != nil {
			t.Fatalf("taken, but encoding/json says %v", oracle)
		}
		var exact map[string]json.RawMessage
		if err := json.Unmarshal(body, &exact); err != nil {
			t.Fatal(err)
		}
		// encoding/json matches field names without case; API servers do not.
		want.Items = nil
		if items, ok := exact["items"]; ok {
			if err := json.Unmarshal(items, &want.Items); err != nil {
				t.Fatal(err)
			}
		}
		if len(events) != len(want.Items) {
			t.Fatalf("%d events, of %d", len(events), len(want.Items))
		}
		for i, e := range events {
			if !bytes.Equal(e.Raw, bytes.TrimSpace(want.Items[i])) {
				t.Fatalf("event %d is %q, of %q", i, e.Raw, want.Items[i])
			}
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(e.Raw, &fields); err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string]string{"auditID": e.AuditID, "stage": e.Stage} {
				text := ""
				if raw, ok := fields[name]; ok {
					if err := json.Unmarshal(raw, &text); err != nil {
						t.Fatal(err)
					}
				}
				if text != got {
					t.Fatalf("event %d: %s is %q, of %q", i, name, got, text)
				}
			}
			if id := e.RecordID(); len(id) > 256 {
				t.Fatalf("id %q", id)
			}
		}
	})
}

// FuzzParseEvent holds both directions: what encoding/json takes as an object is
// taken, unless a member that is read stands twice or is no string.
func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":"c\u00e9"}],"auditID":"x"}`))
	f.Add([]byte(" {\"level\":\"\\/\",\"n\":0.1e-7}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		_, err := ParseEvent(raw)
		var fields map[string]json.RawMessage
		oracle := json.Unmarshal(raw, &fields)
		if err == nil && oracle != nil && !strings.Contains(oracle.Error(), "max depth") {
			t.Fatalf("taken, but encoding/json says %v", oracle)
		}
		if err == nil || oracle != nil || fields == nil || strings.Contains(err.Error(), "a second") || strings.Contains(err.Error(), "deep") {
			return
		}
		for _, name := range []string{"auditID", "stage", "stageTimestamp", "requestReceivedTimestamp"} {
			if value := bytes.TrimSpace(fields[name]); len(value) > 0 && value[0] != '"' {
				return
			}
		}
		t.Fatalf("refused (%v), but encoding/json takes it", err)
	})
}

func BenchmarkParseEventList(b *testing.B) {
	item := strings.Split(sample, "\n")[1] + strings.TrimSuffix(strings.Split(sample, "\n")[2], ",")
	body := []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + strings.Repeat(item+",", 399) + item + `]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		events, err := ParseEventList(body)
		if err != nil || len(events) != 400 {
			b.Fatal(err)
		}
		for _, e := range events {
			e.RecordID()
		}
	}
}
