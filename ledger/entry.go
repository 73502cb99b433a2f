package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The kinds of log entry: their first byte. docs/ledger.md gives the layout.
const (
	kindRecord = 'R' // header, sealed record
	kindBody   = 'B' // header, SHA-256 and size of the file with the sealed record
	kindKey    = 'K' // keyEntry, JSON
	kindShred  = 'S' // shredEntry, JSON
)

const (
	maxEntry   = 1<<16 - 1 // C2SP tlog-tiles
	idSize     = 16
	headerSize = 1 + 8 + idSize
	bodySize   = headerSize + sha256.Size + 8
	maxBody    = MaxData + sealOverhead + innerSize + MaxID // the file that a body entry names
)

// keyedID is a keyed hash of a record's ID, which entries carry in clear.
type keyedID [idSize]byte

// header begins a record's entry.
type header struct {
	kind byte
	key  uint64 // index of the key entry whose key seals the record
	id   keyedID
}

func (h header) append(b []byte) []byte {
	b = append(b, h.kind)
	b = binary.BigEndian.AppendUint64(b, h.key)
	return append(b, h.id[:]...)
}

// keyEntry announces a period's key.
type keyEntry struct {
	Period     string   `json:"period"`     // name; the key is in keys/<period>.age
	Wrapped    string   `json:"wrapped"`    // SHA-256 of that file, hex
	Config     string   `json:"config"`     // SHA-256 of ledger.json from here on, hex
	Recipients []string `json:"recipients"` // for whom the key is wrapped
}

// shredEntry announces that a period's key is destroyed.
type shredEntry struct {
	Period string `json:"period"`
	Key    uint64 `json:"key"`  // index of its key entry
	Time   string `json:"time"` // RFC 3339, by the writer's clock
}

// entry is a log entry taken apart. What does not belong to its kind is zero.
type entry struct {
	header
	sealed   []byte            // kindRecord
	bodySum  [sha256.Size]byte // kindBody
	bodySize uint64            // kindBody
	newKey   keyEntry          // kindKey
	shred    shredEntry        // kindShred
}

var errEntry = errors.New("it is no entry of this ledger's format")

// parseEntry takes a log entry apart. It keeps slices of b.
func parseEntry(b []byte) (entry, error) {
	var e entry
	if len(b) == 0 || len(b) > maxEntry {
		return e, errEntry
	}
	e.kind = b[0]
	switch e.kind {
	case kindRecord, kindBody:
		if len(b) < headerSize {
			return e, errEntry
		}
		e.key = binary.BigEndian.Uint64(b[1:])
		e.id = keyedID(b[9:headerSize])
		rest := b[headerSize:]
		if e.kind == kindRecord {
			if len(rest) < sealOverhead+innerSize {
				return e, errEntry
			}
			e.sealed = rest
			return e, nil
		}
		if len(b) != bodySize {
			return e, errEntry
		}
		e.bodySum = [sha256.Size]byte(rest)
		e.bodySize = binary.BigEndian.Uint64(rest[sha256.Size:])
		if e.bodySize > maxBody {
			return e, errEntry
		}
		return e, nil
	case kindKey:
		if err := strictJSON(b[1:], &e.newKey); err != nil {
			return e, fmt.Errorf("key entry: %w", err)
		}
		if !validPeriod(e.newKey.Period) || !validSum(e.newKey.Wrapped) || !validSum(e.newKey.Config) {
			return e, errEntry
		}
		return e, nil
	case kindShred:
		if err := strictJSON(b[1:], &e.shred); err != nil {
			return e, fmt.Errorf("shred entry: %w", err)
		}
		if !validPeriod(e.shred.Period) {
			return e, errEntry
		}
		return e, nil
	}
	return e, errEntry
}

func validSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

func strictJSON(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one value")
	}
	return nil
}

func bodyEntry(h header, sum [sha256.Size]byte, size uint64) []byte {
	b := h.append(make([]byte, 0, bodySize))
	b = append(b, sum[:]...)
	return binary.BigEndian.AppendUint64(b, size)
}

func jsonEntry(kind byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(data) >= maxEntry {
		return nil, fmt.Errorf("an entry of %d bytes does not fit into the log", len(data)+1)
	}
	return append([]byte{kind}, data...), nil
}

// bodyPath is where a sealed record of this hash lies, below the ledger's folder.
func bodyPath(sum [sha256.Size]byte) string {
	name := hex.EncodeToString(sum[:])
	return bodyFolder + "/" + name[:2] + "/" + name
}
