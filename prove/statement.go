package prove

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/baileyhq/bailey"
)

// The types that a piece of evidence names: an in-toto statement
// (https://in-toto.io/Statement/v1) in a DSSE envelope.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://github.com/baileyhq/bailey/evidence/v1"
)

// evidenceLimit bounds a piece of evidence that is read, in bytes.
const evidenceLimit = 64 << 20

// Statement is an in-toto attestation. Its subject is the scope that was tried: the
// name holds the cluster's UID, the digest is that of the plan.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is a ResourceDescriptor of in-toto.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Predicate is what was tried, what came back and what follows.
type Predicate struct {
	Evidence   bailey.Evidence `json:"evidence"`
	Title      string          `json:"title"`
	Hypothesis string          `json:"hypothesis"`
	Technique  string          `json:"technique,omitempty"`
	Verdict    Outcome         `json:"verdict"`
	Why        string          `json:"why,omitempty"`
	// FailureBound is the failure rate that the least tried path may still have, at
	// 95 % confidence.
	FailureBound float64        `json:"failureBound,omitempty"`
	Cluster      Cluster        `json:"cluster"`
	Prober       ProberID       `json:"prober"`
	Start        time.Time      `json:"start"`
	End          time.Time      `json:"end"`
	Clock        Clock          `json:"clock"`
	Custody      string         `json:"keyCustody"`
	Results      []Result       `json:"results"`
	Plan         []bailey.Probe `json:"plan"`
	Exchanges    []Exchange     `json:"exchanges"`
	Before       []string       `json:"steadyStateBefore"`
	After        []string       `json:"steadyStateAfter"`
	LeftBehind   []string       `json:"leftBehind"`
	Interrupted  string         `json:"interrupted,omitempty"`
}

// Cluster is the platform that was tried.
type Cluster struct {
	UID     string `json:"uid"` // of the namespace kube-system
	Version string `json:"version"`
}

// ProberID is who tried.
type ProberID struct {
	Version  string `json:"version"`
	Identity string `json:"identity"` // the user that the API server took it for
}

// Statement makes the record into a statement.
func (r *Record) Statement(cluster Cluster, prober ProberID, clock Clock, custody string) Statement {
	verdict, why := r.Verdict()
	e := r.Evidence()
	least := 0
	for i, t := range e.Paths {
		if i == 0 || t.Held < least {
			least = t.Held
		}
	}
	plan, _ := json.Marshal(r.Unit.Probes) // planned from data: it marshalled before
	sum := sha256.Sum256(plan)
	name := "kubernetes:" + cluster.UID + "/" + string(e.Scope.Kind)
	if e.Scope.Object.Name != "" {
		name += "/" + e.Scope.Object.String()
	}
	p := Predicate{Evidence: e, Title: r.Unit.Experiment.Title, Hypothesis: r.Unit.Experiment.Hypothesis, Technique: r.Unit.Experiment.Technique,
		Verdict: verdict, Why: why, Cluster: cluster, Prober: prober, Start: r.Start, End: r.End, Clock: clock, Custody: custody,
		Results: r.Results, Plan: r.Unit.Probes, Exchanges: r.Exchanges, Before: r.Before, After: r.After, LeftBehind: r.LeftBehind, Interrupted: r.Interrupted}
	if verdict == Held {
		p.FailureBound = bailey.FailureBound(least)
	}
	if p.LeftBehind == nil {
		p.LeftBehind = []string{}
	}
	if p.Exchanges == nil {
		p.Exchanges = []Exchange{}
	}
	return Statement{Type: StatementType, PredicateType: PredicateType, Subject: []Subject{{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}, Predicate: p}
}

// InterruptedStatement says of an experiment that was killed that it was, and
// that what it left is removed. It shows nothing else.
func InterruptedStatement(e bailey.Evidence, removed []string, cluster Cluster, prober ProberID, clock Clock, custody string) Statement {
	r := Record{Unit: &Unit{Control: &bailey.Control{ID: e.Control}, Experiment: &bailey.Experiment{Name: e.Experiment, Danger: e.Danger}, Scope: e.Scope, Probes: []bailey.Probe{}},
		Run: e.Run, Start: e.At, End: e.At, Results: []Result{}, Interrupted: "the run was killed; what it had made was removed afterwards"}
	for _, name := range removed {
		r.Before = append(r.Before, "removed "+name)
	}
	return r.Statement(cluster, prober, clock, custody)
}

// Sign signs a statement, and gives the envelope (JSON, one line) and the
// evidence's ID.
func Sign(ctx context.Context, s Statement, key *Key) (envelope []byte, id string, err error) {
	envelope, payload, err := seal(ctx, s, key)
	return envelope, evidenceID(payload), err
}

// seal signs what a statement says in JSON.
func seal(ctx context.Context, statement any, key *Key) (envelope, payload []byte, err error) {
	if payload, err = json.Marshal(statement); err != nil {
		return nil, nil, err
	}
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, nil, err
	}
	signed, err := signer.SignPayload(ctx, PayloadType, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("the evidence could not be signed: %w", err)
	}
	envelope, err = json.Marshal(signed)
	return append(envelope, '\n'), payload, err
}

func evidenceID(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// ErrUntrusted tells an envelope that none of the keys given has signed.
var ErrUntrusted = errors.New("no trusted key has signed it")

// Open verifies an envelope with any of the keys, and gives the statement with
// its evidence's ID and signer filled in. Without a valid signature there is no
// statement.
func Open(ctx context.Context, envelope []byte, trusted []ed25519.PublicKey) (*Statement, error) {
	payload, signer, err := unseal(ctx, envelope, trusted)
	if err != nil {
		return nil, err
	}
	var s Statement
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&s); err != nil {
		return nil, fmt.Errorf("its payload is no statement: %w", err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateType {
		return nil, fmt.Errorf("it is a %s about %s, not evidence of Bailey's", s.Type, s.PredicateType)
	}
	s.Predicate.Evidence.ID = evidenceID(payload)
	s.Predicate.Evidence.Signer = signer
	return &s, nil
}

// unseal verifies an envelope, and gives what is signed and the key's id.
func unseal(ctx context.Context, envelope []byte, trusted []ed25519.PublicKey) (payload []byte, signer string, err error) {
	if len(envelope) > evidenceLimit {
		return nil, "", fmt.Errorf("larger than %d MiB", evidenceLimit>>20)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, "", fmt.Errorf("not a DSSE envelope: %w", err)
	}
	if e.PayloadType != PayloadType {
		return nil, "", fmt.Errorf("its payload is %q, not %s", e.PayloadType, PayloadType)
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > 16 {
		return nil, "", fmt.Errorf("it has %d signatures", len(e.Signatures))
	}
	verifiers := make([]dsse.Verifier, len(trusted))
	for i, public := range trusted {
		verifiers[i] = &Key{public: public}
	}
	if len(verifiers) == 0 {
		return nil, "", ErrUntrusted
	}
	verifier, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, "", err
	}
	accepted, err := verifier.Verify(ctx, &e)
	if err != nil || len(accepted) == 0 {
		return nil, "", fmt.Errorf("%w (it names the key %.16s)", ErrUntrusted, e.Signatures[0].KeyID)
	}
	if payload, err = base64.StdEncoding.DecodeString(e.Payload); err != nil {
		return nil, "", fmt.Errorf("its payload is not base64: %w", err)
	}
	return payload, accepted[0].KeyID, nil
}

// payloadID is the ID of what an envelope holds, signed or not; empty if it is none.
func payloadID(envelope []byte) string {
	var e struct{ Payload string }
	if json.Unmarshal(envelope, &e) != nil {
		return ""
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || len(payload) == 0 {
		return ""
	}
	return evidenceID(payload)
}
