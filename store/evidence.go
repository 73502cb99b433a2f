package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/baileyhq/bailey"
)

// Evidence is what one run of an experiment showed for a scope.
type Evidence struct {
	bailey.Evidence
	// Ledger is the index of its record in the ledger of the server that watches the cluster; nil if it has none.
	Ledger *uint64 `json:"ledgerIndex,omitempty"`
	// Seq is the number of the change that added it.
	Seq int64 `json:"seq,omitempty"`
}

var evidenceColumns = append([]string{"cluster", "id", "seq", "at", "run", "experiment"}, append(slices.Clone(verdictKeyColumns),
	"held", "tried", "broken", "inconclusive", "signer", "interrupted", "ledger", "doc")...)

// evidence keeps what is not kept yet. Evidence does not change but that its index in the
// ledger becomes known, or is another's: the ledger that is kept now may not be the one before.
func (w *writer) evidence(list []Evidence) error {
	var rows [][]any
	seen := map[string]bool{}
	for i := range list {
		e := &list[i]
		if e.ID == "" {
			return fmt.Errorf("store: evidence of %s has no ID", e.Experiment)
		}
		id := clean(e.ID)
		if seen[id] {
			continue
		}
		seen[id] = true
		if e.Ledger != nil && int64(*e.Ledger) < 0 {
			return fmt.Errorf("store: evidence %s has no possible index in the ledger: %d", e.ID, *e.Ledger)
		}
		var ledger sql.NullInt64
		if e.Ledger != nil {
			ledger = sql.NullInt64{Int64: int64(*e.Ledger), Valid: true}
		}
		var kept sql.NullInt64
		k := verdictKeyOf(e.Control, e.Scope)
		err := w.row("SELECT ledger FROM evidence WHERE cluster = ? AND id = ?", w.cluster, id).Scan(&kept)
		switch {
		case err == sql.ErrNoRows:
		case err != nil:
			return err
		case ledger.Valid && kept != ledger:
			w.change("evidence", "changed", k.namespace, 0, id)
			if _, err := w.exec("UPDATE evidence SET ledger = ? WHERE cluster = ? AND id = ?", ledger, w.cluster, id); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		doc, _, err := encode(e.Evidence)
		if err != nil {
			return err
		}
		total := e.Total()
		rows = append(rows, append(append([]any{w.cluster, id, w.change("evidence", "added", k.namespace, 0, id), nanos(e.At), clean(e.Run), clean(e.Experiment)}, k.values()...),
			total.Held, total.Tried, total.Broken, total.Inconclusive, clean(e.Signer), bit(e.Interrupted), ledger, doc))
	}
	return w.insert("evidence", evidenceColumns, rows, "")
}

// EvidenceQuery asks for evidence, the newest first.
type EvidenceQuery struct {
	Cluster string
	Access  Access
	// Namespaces, Control, Experiment, Run and Object narrow it where they are set.
	Namespaces               []string
	Control, Experiment, Run string
	Object                   *bailey.Ref
	Oldest                   bool // the oldest first
	Limit                    int
	After                    string
}

// Evidence gives a page of evidence.
func (s *Store) Evidence(ctx context.Context, q EvidenceQuery) (Page[Evidence], error) {
	l := listing{columns: evidenceFields, table: "evidence", cluster: q.Cluster, limit: q.Limit, after: q.After, oldest: q.Oldest}
	l.within(q.Access, q.Namespaces)
	l.equal("control", q.Control)
	l.equal("experiment", q.Experiment)
	l.equal("run", q.Run)
	l.object(q.Object)
	return list(ctx, s, l, scanEvidence)
}

const evidenceFields = "seq, ledger, doc"

func scanEvidence(scan func(...any) error) (Evidence, int64, error) {
	var e Evidence
	var ledger sql.NullInt64
	var doc string
	if err := scan(&e.Seq, &ledger, &doc); err != nil {
		return e, 0, err
	}
	if ledger.Valid {
		index := uint64(ledger.Int64)
		e.Ledger = &index
	}
	return e, e.Seq, decode(doc, &e.Evidence)
}

// ExperimentName names an experiment of a control.
type ExperimentName struct{ Control, Experiment string }

// NewestEvidence gives the newest evidence that may be seen of each of the experiments that have any, in no order.
func (s *Store) NewestEvidence(ctx context.Context, access Access, cluster string, of []ExperimentName) (all []Evidence, err error) {
	err = s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		where, whereArgs := access.limit("e.namespace", nil)
		for some := range slices.Chunk(of, newestAtOnce) {
			var args []any
			for _, x := range some {
				args = append(args, clean(x.Control), clean(x.Experiment))
			}
			// One row of an index each, however much evidence there is.
			if err := r.each(func(rows *sql.Rows) error {
				e, _, err := scanEvidence(rows.Scan)
				all = append(all, e)
				return err
			}, "WITH x (control, experiment) AS (VALUES "+tuples(len(some), 2)+") SELECT "+evidenceFields+" FROM evidence WHERE cluster = ? AND seq IN"+
				" (SELECT (SELECT max(e.seq) FROM evidence e WHERE e.cluster = ? AND e.control = x.control AND e.experiment = x.experiment"+where+") FROM x)",
				slices.Concat(args, []any{n, n}, whereArgs)...); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// newestAtOnce is how many experiments one query is about.
const newestAtOnce = 400

// decode reads a document of the store's own.
func decode(doc string, into any) error {
	if err := json.Unmarshal([]byte(doc), into); err != nil {
		return fmt.Errorf("store: %w: a document cannot be read: %w", ErrDamaged, err)
	}
	return nil
}
