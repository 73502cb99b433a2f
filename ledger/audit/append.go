package audit

import (
	"context"
	"encoding/json"
)

type Record struct {
	ID   string
	Data json.RawMessage
}

// Append adds records to a ledger and returns once they are durable.
type Append func(ctx context.Context, records ...Record) ([]uint64, error)
