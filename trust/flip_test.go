package trust_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/baileyhq/bailey/trust"
)

// TestFlippedBytes changes good bundles' bytes one after the other: each change is found,
// or it left the meaning as it was.
func TestFlippedBytes(t *testing.T) {
	i := newInstance(t)
	sum := digest([]byte("image"))
	t.Run("own", func(t *testing.T) {
		flipBytes(t, i.keyless(t, nil), sum, encode(t, i.bundle(t, sum, witnesses{entry: true, proof: true, timestamp: true})))
	})
	if _, err := os.Stat(oracles); err != nil {
		t.Skip("no ../shared/oracles/signatures: others' bundles are not changed")
	}
	for _, name := range []string{"happy-path-v0.1", "happy-path-v0.3", "happy-path-intoto-in-dsse-v3", "rekor2-dsse-happy-path", "rekor2-timestamp-without-embedded-cert"} {
		t.Run(name, func(t *testing.T) {
			c := oracle(t, filepath.Join(oracles, name))
			flipBytes(t, single(t, c.signer, ""), digest(c.artifact), c.bundle)
		})
	}
}

func flipBytes(t *testing.T, p *trust.Policy, sum string, full []byte) {
	now := time.Now()
	expect(t, "unchanged", decide(p, sum, full, now), "")
	step, flips := 97, []byte{1, 1 << rand.IntN(7), 0x20} // a sample, a different one in each run
	if os.Getenv("BAILEY_SOAK") != "" {
		step, flips = 1, []byte{1, 2, 4, 8, 16, 32, 64, 128}
	}
	reasons := map[trust.Reason]int{}
	tried := 0
	for at := rand.IntN(step); at < len(full); at += step {
		for _, flip := range flips {
			changed := append([]byte(nil), full...)
			changed[at] ^= flip
			tried++
			d := decide(p, sum, changed, now)
			if !d.Verified {
				if d.Reason() == "" || d.Hint() == "" {
					t.Fatalf("byte %d: refused without a reason", at)
				}
				reasons[d.Refusals[0].Reason]++
				continue
			}
			if !same(full, changed) {
				t.Errorf("byte %d (%q for %q, after %.60q) was changed, and it verifies", at, changed[at], full[at], full[max(0, at-60):at])
			}
		}
	}
	t.Logf("%d changes: %v", tried, reasons)
	if tried < 100 || len(reasons) < 2 {
		t.Errorf("%d changes were refused for %v: that is no test", tried, reasons)
	}
}

// same reports whether two bundles mean the same. Left out are the number of the format,
// and the signatures under a checkpoint: others' are there, of whom nobody knows the key,
// and the log's has its name beside it; a change of the log's own is refused before. Of a
// timestamp without certificates the empty set may be one of revocation lists (RFC 5652,
// 5.1: [0] and [1] of SignedData, which no signature covers).
func same(a, b []byte) bool {
	var x, y protobundle.Bundle
	if protojson.Unmarshal(a, &x) != nil || protojson.Unmarshal(b, &y) != nil {
		return false
	}
	for _, b := range []*protobundle.Bundle{&x, &y} {
		b.MediaType = ""
		for _, e := range b.GetVerificationMaterial().GetTlogEntries() {
			if c := e.GetInclusionProof().GetCheckpoint(); c != nil {
				c.Envelope, _, _ = strings.Cut(c.Envelope, "\n\n\u2014 ")
			}
		}
	}
	xs, ys := x.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps(), y.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	for i := range min(len(xs), len(ys)) {
		if sameButEmptySet(xs[i].SignedTimestamp, ys[i].SignedTimestamp) {
			ys[i].SignedTimestamp = xs[i].SignedTimestamp
		}
	}
	return proto.Equal(&x, &y)
}

// sameButEmptySet reports whether all that differs is the tag of one empty set, [0] and [1],
// right before the set of those who signed.
func sameButEmptySet(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] == 0xa0 && b[i] == 0xa1 && bytes.HasPrefix(a[i+1:], []byte{0, 0x31}) && bytes.Equal(a[i+1:], b[i+1:])
		}
	}
	return true
}

// TestFlippedFields sets each part of the bundle that is bytes wrong, from its first
// byte to its last.
func TestFlippedFields(t *testing.T) {
	i := newInstance(t)
	sum := digest([]byte("image"))
	p := i.keyless(t, nil)
	good := i.bundle(t, sum, witnesses{entry: true, proof: true, timestamp: true})
	regions := map[string]func(*protobundle.Bundle) *[]byte{
		"certificate": func(b *protobundle.Bundle) *[]byte { return &b.VerificationMaterial.GetCertificate().RawBytes },
		"signature":   func(b *protobundle.Bundle) *[]byte { return &b.GetDsseEnvelope().Signatures[0].Sig },
		"payload":     func(b *protobundle.Bundle) *[]byte { return &b.GetDsseEnvelope().Payload },
		"log ID":      func(b *protobundle.Bundle) *[]byte { return &b.VerificationMaterial.TlogEntries[0].LogId.KeyId },
		"promise": func(b *protobundle.Bundle) *[]byte {
			return &b.VerificationMaterial.TlogEntries[0].InclusionPromise.SignedEntryTimestamp
		},
		"body": func(b *protobundle.Bundle) *[]byte { return &b.VerificationMaterial.TlogEntries[0].CanonicalizedBody },
		"root hash": func(b *protobundle.Bundle) *[]byte {
			return &b.VerificationMaterial.TlogEntries[0].InclusionProof.RootHash
		},
		"timestamp": func(b *protobundle.Bundle) *[]byte {
			return &b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp
		},
	}
	for name, region := range regions {
		length := len(*region(good))
		for at := range length {
			if at > 8 && at < length-8 && at%7 != 0 {
				continue
			}
			b := proto.Clone(good).(*protobundle.Bundle)
			field := append([]byte(nil), *region(b)...)
			field[at] ^= 1 << rand.IntN(8)
			if name == "timestamp" && sameButEmptySet(*region(good), field) {
				continue
			}
			*region(b) = field
			if d := decide(p, sum, encode(t, b), time.Now()); d.Verified {
				t.Errorf("%s: byte %d of %d was changed, and it verifies", name, at, length)
			}
		}
	}
	for name, change := range map[string]func(*protobundle.Bundle){
		"log index":       func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].LogIndex++ },
		"negative index":  func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].LogIndex = -1 },
		"proof's index":   func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].InclusionProof.LogIndex++ },
		"tree size":       func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].InclusionProof.TreeSize++ },
		"integrated time": func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].IntegratedTime++ },
		"kind":            func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].KindVersion.Kind = "intoto" },
		"kind's version":  func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].KindVersion.Version = "0.0.2" },
		"checkpoint": func(b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries[0].InclusionProof.Checkpoint.Envelope += "x"
		},
		"no checkpoint": func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries[0].InclusionProof.Checkpoint = nil },
		"hash too many": func(b *protobundle.Bundle) {
			h := &b.VerificationMaterial.TlogEntries[0].InclusionProof.Hashes
			*h = append(*h, make([]byte, 32))
		},
		"twice the same": func(b *protobundle.Bundle) { e := &b.VerificationMaterial.TlogEntries; *e = append(*e, (*e)[0]) },
		"version":        func(b *protobundle.Bundle) { b.MediaType = "application/vnd.dev.sigstore.bundle.v0.9+json" },
		"no version":     func(b *protobundle.Bundle) { b.MediaType = "" },
		"no content":     func(b *protobundle.Bundle) { b.Content = nil },
		"no certificate": func(b *protobundle.Bundle) { b.VerificationMaterial.Content = nil },
		"no material":    func(b *protobundle.Bundle) { b.VerificationMaterial = nil },
	} {
		b := proto.Clone(good).(*protobundle.Bundle)
		change(b)
		d := decide(p, sum, encode(t, b), time.Now())
		if d.Verified {
			t.Errorf("%s was changed, and it verifies", name)
		}
	}
}
