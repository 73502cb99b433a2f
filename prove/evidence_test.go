package prove

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

func sampleRecord() *Record {
	r := &Record{Run: "run1", Start: time.Unix(1000, 0).UTC(), End: time.Unix(1010, 0).UTC(),
		Unit: &Unit{Control: &bailey.Control{ID: "test/a"}, Experiment: &bailey.Experiment{Name: "try", Title: "T", Hypothesis: "H", Danger: bailey.DangerDryRun},
			Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}}, Conditions: "c",
			Probes: []bailey.Probe{{Name: "privileged", Path: "create pods"}}}}
	r.start(r.Unit.Probes)
	r.Results[0].Tried, r.Results[0].Held = 16, 16
	r.exchange(0, "try", 0, answer{said: "POST /x (with a token)", message: "echo eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln and Bearer abcdefgh123", code: 403})
	return r
}

func sampleStatement() Statement {
	s := sampleRecord().Statement(Cluster{UID: "u"}, ProberID{}, Clock{}, "")
	s.Predicate.Evidence.ID = strings.Repeat("a", 64)
	return s
}

func signed(t *testing.T) (*Key, []byte, string) {
	t.Helper()
	key, err := StateKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	envelope, id, err := Sign(t.Context(), sampleRecord().Statement(Cluster{UID: "u"}, ProberID{}, Clock{}, key.Custody), key)
	if err != nil {
		t.Fatal(err)
	}
	return key, envelope, id
}

// TestSignAndOpen: what is signed opens with its key and no other, and comes
// back as it was.
func TestSignAndOpen(t *testing.T) {
	key, envelope, id := signed(t)
	s, err := Open(t.Context(), envelope, []ed25519.PublicKey{key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	e := s.Predicate.Evidence
	if e.ID != id || e.Signer != KeyID(key.PublicKey()) || e.Control != "test/a" || len(e.Paths) != 1 || e.Paths[0].Held != 16 ||
		s.Predicate.Verdict != Held || s.Predicate.FailureBound > 0.18 || s.Subject[0].Name != "kubernetes:u/namespace/Namespace shop" {
		t.Errorf("%+v", s)
	}
	stranger, err := StateKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]ed25519.PublicKey{"a stranger's key": {stranger.PublicKey()}, "no key": nil} {
		if _, err := Open(t.Context(), envelope, keys); !errors.Is(err, ErrUntrusted) {
			t.Errorf("with %s: %v", name, err)
		}
	}
}

// TestEveryByteCounts: an envelope with one byte of its payload or signature
// changed does not open.
func TestEveryByteCounts(t *testing.T) {
	key, envelope, _ := signed(t)
	var parts struct {
		Payload, PayloadType string
		Signatures           []struct{ Keyid, Sig string }
	}
	if err := json.Unmarshal(envelope, &parts); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(parts.Payload)
	if err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		damaged := append([]byte(nil), payload...)
		damaged[i] ^= 1
		changed := strings.Replace(string(envelope), parts.Payload, base64.StdEncoding.EncodeToString(damaged), 1)
		if _, err := Open(t.Context(), []byte(changed), []ed25519.PublicKey{key.PublicKey()}); err == nil {
			t.Fatalf("byte %d of the payload may be changed", i)
		}
	}
	renamed := strings.Replace(string(envelope), PayloadType, "application/json", 1)
	if _, err := Open(t.Context(), []byte(renamed), []ed25519.PublicKey{key.PublicKey()}); err == nil {
		t.Error("the payload's type may be changed")
	}
}

// TestSecretsAreCut: a credential that a server echoes is in no evidence.
func TestSecretsAreCut(t *testing.T) {
	key, envelope, _ := signed(t)
	s, err := Open(t.Context(), envelope, []ed25519.PublicKey{key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"eyJhbGciOiJFUzI1NiJ9", "abcdefgh123"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the evidence holds %s", secret)
		}
	}
}

// TestKeyOfOthers: a key that others may read signs nothing.
func TestKeyOfOthers(t *testing.T) {
	dir := t.TempDir()
	if _, err := StateKey(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "evidence.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("%v", err)
	}
}

func FuzzOpen(f *testing.F) {
	key, err := StateKey(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	envelope, _, err := Sign(context.Background(), sampleRecord().Statement(Cluster{UID: "u"}, ProberID{}, Clock{}, ""), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Open(context.Background(), data, []ed25519.PublicKey{key.PublicKey()})
		if err == nil && s.Predicate.Evidence.Control != "test/a" {
			t.Errorf("something else than what was signed has opened: %+v", s)
		}
	})
}

func FuzzOpenSummary(f *testing.F) {
	key, err := StateKey(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	s := sampleStatement()
	envelope, err := SignSummary(context.Background(), s.Summary(1000), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := OpenSummary(context.Background(), data, []ed25519.PublicKey{key.PublicKey()})
		if err == nil && s.Evidence.Control != "test/a" {
			t.Errorf("something else than what was signed has opened: %+v", s)
		}
	})
}

// FuzzParsePublic: what is no Ed25519 key is refused, and what is one can be named.
func FuzzParsePublic(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if public, err := ParsePublic(data); err == nil && (len(public) != ed25519.PublicKeySize || KeyID(public) == "") {
			t.Errorf("a key of %d bytes", len(public))
		}
	})
}
