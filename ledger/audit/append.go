package audit

import (
	"context"

	"github.com/baileyhq/bailey/ledger"
)

// Append adds records to a ledger, as [ledger.Log.Append] does: it returns their
// indexes once they are durable, and a record whose ID is there already gets the index
// that it has.
type Append func(ctx context.Context, records ...ledger.Record) ([]uint64, error)

// Find gives the indexes of those of these records that a ledger holds, by their IDs, as
// [ledger.Log.Find] does.
type Find func(ids ...string) (map[string]uint64, error)
