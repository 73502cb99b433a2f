package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// What is written without encoding/json is what it reads.
func TestIntentLine(t *testing.T) {
	in := intent{Number: 7, Account: `a"b`, FromLog: true, IDs: []string{`audit/"\/x`, "audit/e/2"}, Times: []int64{-4, 9},
		Own: []own{{1, "bailey-1", stageComplete, 8}}}
	text, err := in.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if l.Number != 7 || l.Account != in.Account || !l.FromLog || !slices.Equal(l.IDs, in.IDs) || !slices.Equal(l.Times, in.Times) || !slices.Equal(l.Own, in.Own) {
		t.Errorf("%s is read as %+v", text, l.intent)
	}
	if err := json.Unmarshal(appendDone(nil, 7, []int64{3, absent}), &l); err != nil || l.Done != 7 || !slices.Equal(l.Indexes, []int64{3, absent}) {
		t.Errorf("done is read as %+v, %v", l, err)
	}
}

// FuzzState reads a state and a journal that somebody may have damaged, and writes what
// it read.
func FuzzState(f *testing.F) {
	state := []byte(`{"version":2,"counted":[[1,3]],"accounts":[{"name":"a","open":[{"auditID":"r"}]}],"pending":{"4":{"n":4,"a":"a","i":["audit/e/1"],"t":[3]}}}`)
	f.Add(state, []byte("{\"n\":5,\"a\":\"a\",\"i\":[\"audit/r/2\"],\"t\":[6],\"o\":[{\"p\":0,\"id\":\"r\",\"s\":\"ResponseComplete\",\"r\":1}]}\n{\"d\":5,\"x\":[7]}\n{\"d\":4,\"x\":[-1]}\n{\"a\":\"b\",\"b\":true}\n"))
	f.Add(state, []byte("{\"d\":4,\"x\":[1,2]}\n"))
	f.Add([]byte(`{"version":2,"pending":{"1":null}}`), []byte("{}\n"))
	f.Fuzz(func(t *testing.T, state, journal []byte) {
		saved, err := parseState(state)
		if err != nil {
			return
		}
		if err := replayLines(bytes.NewReader(journal), &saved); err != nil {
			return
		}
		text, err := json.Marshal(saved)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseState(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
