package audit

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/baileyhq/bailey/ledger"
)

// An API server that gives up waiting may never send a batch again. What the ledger
// has taken of it counts, or a gap would be named that is none.
func TestABatchWhoseSenderWentAwayIsCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	if _, err := ledger.Init(t.Context(), dir, ledger.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := book.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s, err := NewSink(Options{Append: book.Append, Find: book.Find, State: dir + ".audit"})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	event := json.RawMessage(`{"auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z","stageTimestamp":"2026-01-02T03:04:05.000001Z"}`)
	_ = s.Take(gone, Source{APIServer: "one"}, []json.RawMessage{event})
	if s.Total() != 1 {
		t.Errorf("%d events are counted, and the ledger was given 1", s.Total())
	}
	if err := s.Take(t.Context(), Source{APIServer: "one"}, []json.RawMessage{event}); err != nil || s.Total() != 1 {
		t.Errorf("sent again: %d events are counted, %v", s.Total(), err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
