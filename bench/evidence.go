package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// benchEvidence reads evidence as a scan does: the wholes, which scans read before
// there were summaries; the summaries; and, as the limit, the same files read and
// their signatures verified, and nothing else. Times are those of the processors, all
// together.
func benchEvidence(string) error {
	fmt.Printf("%8s %10s %12s %10s %12s %12s %8s\n", "pieces", "wholes", "read", "summaries", "read", "limit", "ratio")
	for _, n := range []int{10, 100, 1000} {
		if err := readEvidence(n); err != nil {
			return err
		}
	}
	return nil
}

func readEvidence(n int) error {
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	key, err := prove.StateKey(dir)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "evidence")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	for i := range n {
		if err := writeEvidence(folder, namespaceEvidence(i), key); err != nil {
			return err
		}
	}
	trusted := []ed25519.PublicKey{key.PublicKey()}
	load := func() (time.Duration, error) {
		var best time.Duration
		for i := range 3 {
			start := cpuTime()
			kept, err := prove.Load(context.Background(), folder, trusted, prove.Reading{})
			if err != nil || len(kept) != n || kept[0].Err != nil || kept[0].Doubt != nil {
				return 0, fmt.Errorf("%d of %d pieces: %w", len(kept), n, err)
			}
			if took := cpuTime() - start; i == 0 || took < best {
				best = took
			}
		}
		return best, nil
	}
	after, err := load()
	if err != nil {
		return err
	}
	summaries, err := filepath.Glob(filepath.Join(folder, "*.summary.json"))
	if err != nil {
		return err
	}
	limit, size, err := verifyOnly(summaries, key.PublicKey())
	if err != nil {
		return err
	}
	for _, path := range summaries {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	before, err := load()
	if err != nil {
		return err
	}
	wholes, err := filepath.Glob(filepath.Join(folder, "*.dsse.json"))
	if err != nil {
		return err
	}
	var whole int64
	for _, path := range wholes {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		whole += info.Size()
	}
	fmt.Printf("%8d %10s %12s %10s %12s %12s %8.1f\n", n, mib(whole), ms(before), mib(size), ms(after), ms(limit), float64(after)/float64(limit))
	return nil
}

// writeEvidence is prove.Keep without waiting for the disk.
func writeEvidence(folder string, s prove.Statement, key *prove.Key) error {
	whole, id, err := prove.Sign(context.Background(), s, key)
	if err != nil {
		return err
	}
	sum := s.Summary(len(whole))
	sum.Evidence.ID = id
	summary, err := prove.SignSummary(context.Background(), sum, key)
	if err != nil {
		return err
	}
	stem := filepath.Join(folder, s.Predicate.End.Format("20060102T150405Z-")+id[:12])
	if err := os.WriteFile(stem+".dsse.json", whole, 0o600); err != nil {
		return err
	}
	return os.WriteFile(stem+".summary.json", summary, 0o600)
}

// verifyOnly reads envelopes and verifies their signatures.
func verifyOnly(paths []string, public ed25519.PublicKey) (took time.Duration, size int64, err error) {
	start := cpuTime()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		size += int64(len(data))
		var e struct {
			Payload, PayloadType string
			Signatures           []struct{ Sig []byte }
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return 0, 0, err
		}
		payload, err := base64.StdEncoding.DecodeString(e.Payload)
		if err != nil {
			return 0, 0, err
		}
		signed := fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(e.PayloadType), e.PayloadType, len(payload))
		if !ed25519.Verify(public, append(signed, payload...), e.Signatures[0].Sig) {
			return 0, 0, fmt.Errorf("%s does not verify", path)
		}
	}
	return cpuTime() - start, size, nil
}

// namespaceEvidence is a run of Pod Security in one namespace, of a usual size: 90
// probes, 16 tries of each and its twin.
func namespaceEvidence(i int) prove.Statement {
	at := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC).Add(-time.Duration(i) * time.Minute)
	u := &prove.Unit{Control: &bailey.Control{ID: "compute/pod-security"}, Conditions: strings.Repeat("c", 64),
		Experiment: &bailey.Experiment{Name: "admission-refuses", Title: "Pod Security admission refuses", Danger: bailey.DangerDryRun},
		Scope:      bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("team-%d", i%100)}}}
	r := &prove.Record{Unit: u, Run: fmt.Sprintf("run%d", i), Start: at.Add(-time.Minute), End: at}
	for p := range 90 {
		name := fmt.Sprintf("a container that asks for more than its level gives, form %d", p)
		u.Probes = append(u.Probes, bailey.Probe{Name: name, Path: "create pods", Scope: u.Scope})
		r.Results = append(r.Results, prove.Result{Name: name, Path: "create pods", Tried: 16, Held: 16})
		for round := range 32 {
			r.Exchanges = append(r.Exchanges, prove.Exchange{Probe: p, Role: "try", Round: round / 2, At: at, Micros: 2300, Answer: "refused", Refuser: "PodSecurity", Code: 403,
				Reason: "Forbidden", Said: "POST /api/v1/namespaces/team/pods?dryRun=All", AuditID: "7b0a5d5e-0f0e-4d2c-9b1e-3c1a5a1c2f00"})
		}
	}
	return r.Statement(prove.Cluster{UID: "bench", Version: "1.37"}, prove.ProberID{Version: "bench"}, prove.Clock{}, "bench")
}
