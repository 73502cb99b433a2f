package prove

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
)

// SummaryType is what a summary of evidence names as its predicate.
const SummaryType = "https://github.com/baileyhq/bailey/evidence-summary/v1"

// Summary is what verdicts need of a piece of evidence: all but the plan and the
// exchanges, which are nearly all of its size. It is signed by itself, and lies
// beside the whole.
type Summary struct {
	// Evidence has the whole's ID, which in the signed form is the subject's digest.
	Evidence bailey.Evidence `json:"evidence"`
	Verdict  Outcome         `json:"verdict"`
	Why      string          `json:"why,omitempty"`
	Cluster  Cluster         `json:"cluster"`
	End      time.Time       `json:"end"`
	// Bytes is the size of the whole's envelope.
	Bytes int `json:"bytes"`
}

// summaryStatement is the in-toto statement that holds a summary. Its subject is
// the whole's payload.
type summaryStatement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Summary   `json:"predicate"`
}

// Summary sums the statement up, whose envelope has so many bytes.
func (s *Statement) Summary(size int) *Summary {
	p := &s.Predicate
	return &Summary{Evidence: p.Evidence, Verdict: p.Verdict, Why: p.Why, Cluster: p.Cluster, End: p.End, Bytes: size}
}

// SignSummary signs a summary and gives its envelope.
func SignSummary(ctx context.Context, s *Summary, key *Key) ([]byte, error) {
	envelope, _, err := seal(ctx, s.statement(), key)
	return envelope, err
}

func (s *Summary) statement() summaryStatement {
	digest := map[string]string{"sha256": s.Evidence.ID}
	p := *s
	p.Evidence.ID, p.Evidence.Signer = "", ""
	return summaryStatement{Type: StatementType, PredicateType: SummaryType, Subject: []Subject{{Name: "evidence", Digest: digest}}, Predicate: p}
}

// OpenSummary verifies the envelope of a summary, like Open.
func OpenSummary(ctx context.Context, envelope []byte, trusted []ed25519.PublicKey) (*Summary, error) {
	payload, signer, err := unseal(ctx, envelope, trusted)
	if err != nil {
		return nil, err
	}
	var s summaryStatement
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("its payload is no statement: %w", err)
	}
	if s.Type != StatementType || s.PredicateType != SummaryType {
		return nil, fmt.Errorf("it is a %s about %s, not a summary of evidence", s.Type, s.PredicateType)
	}
	if len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] == "" {
		return nil, errors.New("it does not name the evidence that it sums up")
	}
	s.Predicate.Evidence.ID = s.Subject[0].Digest["sha256"]
	s.Predicate.Evidence.Signer = signer
	return &s.Predicate, nil
}

// errDisagree tells a summary that says something else than its whole.
var errDisagree = errors.New("the summary and its whole disagree")

// agrees compares a summary with that of the whole itself.
func (s *Summary) agrees(whole *Summary) error {
	if s.Evidence.ID != whole.Evidence.ID {
		return fmt.Errorf("%w: it sums up %.12s, and the whole is %.12s", errDisagree, s.Evidence.ID, whole.Evidence.ID)
	}
	a, err := json.Marshal(s.statement())
	if err != nil {
		return err
	}
	b, err := json.Marshal(whole.statement())
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return errDisagree
	}
	return nil
}

// withoutWhole is what counts of a summary whose whole is not there to be
// verified: what was broken, and nothing that was refused.
func (s *Summary) withoutWhole() *Summary {
	cut := *s
	cut.Evidence.Paths = make([]bailey.Tally, len(s.Evidence.Paths))
	for i, t := range s.Evidence.Paths {
		t.Inconclusive += t.Held
		t.Held = 0
		cut.Evidence.Paths[i] = t
	}
	return &cut
}
