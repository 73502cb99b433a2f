// Package ledger is a log that nobody can change unseen. Records are sealed
// for the holders of age keys and appended to a Merkle tree (C2SP tlog-tiles),
// whose signed checkpoints everyone can verify without reading a record.
// docs/ledger.md describes the files, the formats and what the ledger does not
// show.
package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Limits on what one record may be.
const (
	// MaxID is the longest record ID, in bytes.
	MaxID = 1024
	// MaxData is the largest record, in bytes. Records that do not fit into a
	// log entry (65,535 bytes with their frame) are kept in a file beside it.
	MaxData = 64 << 20
)

// Record is something to be kept.
type Record struct {
	// ID names the record. A second record with the same ID is taken for a
	// retry: it gets the index of the first and is not stored. 1 to MaxID bytes.
	ID string
	// Data is one JSON value, kept byte for byte, at most MaxData bytes.
	Data json.RawMessage
}

// Entry is a record as it is read back.
type Entry struct {
	Index  uint64    // position in the log
	Period string    // whose key sealed it
	Time   time.Time // when the writer appended it, by the writer's clock
	ID     string
	Data   json.RawMessage
	// Shredded says that the period's key was destroyed, so that neither ID, Time nor
	// Data can be known any more.
	Shredded bool
}

// ErrLocked means that another process has the ledger open for writing.
var ErrLocked = errors.New("another process has the ledger open for writing")

// ErrClosed means that the log was closed.
var ErrClosed = errors.New("the ledger is closed")

// RecordError says which record of a call is not acceptable. Nothing of
// the call was appended.
type RecordError struct {
	Position int // in the arguments, from 0
	Reason   string
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record %d: %s", e.Position, e.Reason)
}

func (r Record) check(position int) error {
	switch {
	case r.ID == "":
		return &RecordError{position, "it has no ID"}
	case len(r.ID) > MaxID:
		return &RecordError{position, fmt.Sprintf("its ID has %d bytes, more than %d", len(r.ID), MaxID)}
	case len(r.Data) > MaxData:
		return &RecordError{position, fmt.Sprintf("it has %d bytes, more than %d", len(r.Data), MaxData)}
	case !json.Valid(r.Data):
		return &RecordError{position, "it is not a JSON value"}
	}
	return nil
}

// The files of a ledger, below its folder.
const (
	configFile  = "ledger.json"         // Config
	configNext  = "ledger.json.next"    // a change of configuration under way
	logFolder   = "log"                 // C2SP tlog-tiles; may be served as it is
	keyFolder   = "keys"                // PERIOD.age: period keys, wrapped for the recipients
	bodyFolder  = "records"             // sealed records too large for a log entry
	signedFile  = "signed-checkpoint"   // the newest checkpoint that the writer remembers
	lockFile    = "lock"                // held by the writer
	indexFolder = "index"               // sorted keyed IDs, made from the log
	secrets     = "private"             // the writer's keys
	signingKey  = "private/log.key"     // note signing key
	idKey       = "private/ids.key"     // key of the keyed IDs
	contentKey  = "private/content.key" // key of ContentID
	periodFile  = "private/period"      // the current period's key
	ownFile     = "private/state"       // ownState
	identity    = "private/identity"    // age identity that Init made, where it was given no recipient
)
