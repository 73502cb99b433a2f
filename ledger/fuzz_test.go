package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func FuzzEntry(f *testing.F) {
	h := header{kindRecord, 7, keyedID{1, 2, 3}}
	f.Add(h.append(nil))
	f.Add(append(h.append(nil), make([]byte, 100)...))
	f.Add(bodyEntry(header{kindBody, 7, keyedID{}}, [32]byte{}, 70_000))
	key, _ := jsonEntry(kindKey, keyEntry{"20261125T101112.131Z", hexSum(nil), hexSum(nil), []string{"age1"}})
	f.Add(key)
	shred, _ := jsonEntry(kindShred, shredEntry{"20261125T101112.131Z", 0, ""})
	f.Add(shred)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEntry(data)
		if err != nil {
			return
		}
		var again []byte
		switch e.kind {
		case kindRecord:
			again = append(e.header.append(nil), e.sealed...)
		case kindBody:
			again = bodyEntry(e.header, e.bodySum, e.bodySize)
		case kindKey:
			if !validPeriod(e.newKey.Period) || bytes.ContainsAny([]byte(e.newKey.Period), "/\\") {
				t.Fatalf("period %q becomes a file name", e.newKey.Period)
			}
			return
		default:
			return
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("%x was read as %x", data, again)
		}
	})
}

func FuzzOwnState(f *testing.F) {
	f.Add([]byte(`{"config":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","next":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","controls":["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseOwnState(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseOwnState(again); err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n &= 0xff
		entries, err := splitBundle(data, n)
		if err == nil && len(entries) != n {
			t.Fatalf("%d entries, not %d", len(entries), n)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"version":1,"origin":"example.org/log","key":"example.org/log+af9a5ded+AaJ1jsRG1mr1MG9lJPiiMqqnHqSnkqsmWXzVMVsA0R5Z","recipients":["age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		again, err := c.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig(again); err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
	})
}

func FuzzWitnessRequest(f *testing.F) {
	f.Add([]byte("old 0\n\nexample.org/log\n1\nAAAA\n\n— x AAAA\n"))
	f.Add([]byte("old 5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\ncheckpoint"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseWitnessRequest(data)
		if err == nil && (len(r.proof) > maxWitnessProof || !bytes.HasSuffix(data, r.checkpoint)) {
			t.Fatalf("%q was read as %+v", data, r)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	_, key, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		f.Fatal(err)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("example.org/log\n12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— example.org/log AAAAAA==\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := OpenCheckpoint(data, v); err == nil {
			t.Fatal("a checkpoint verified that nobody signed")
		}
		if _, size, err := peekCheckpoint(data); err == nil && size > maxTree {
			t.Fatal("too large a tree was accepted")
		}
	})
}

func FuzzExported(f *testing.F) {
	f.Add([]byte(`{"from":1,"to":3,"bundles":[0]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := parseExported(data); err == nil && x.From >= x.To {
			t.Fatal("an empty range was accepted")
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/1/x001/234.p/7", "tile/entries/x001/x234/067.p/255"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if p, ok := parseTilePath(name); ok && p.level > 63 {
			t.Fatalf("%q was read as %+v", name, p)
		}
	})
}
