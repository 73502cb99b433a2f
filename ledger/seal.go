package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

const (
	periodKeySize = 32
	idKeySize     = 32
	sealOverhead  = 12 + 16 // the nonce before the ciphertext, the tag after it
	innerSize     = 8 + 2   // time and length of the ID
)

// sealer seals and opens the records of one period with AES-256-GCM under random nonces.
// A period is at most a day, which stays below the 2^32 records for which a
// random 96-bit nonce is good (NIST SP 800-38D, 8.3).
type sealer struct {
	aead    cipher.AEAD
	context []byte // binds ledger and period
}

func newSealer(key []byte, origin, period string) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead, []byte("bailey ledger v1\n" + origin + "\n" + period + "\n")}, nil
}

// associated is the data that a seal binds beside the record: ledger,
// period, kind, key entry and keyed ID.
func (s *sealer) associated(h header) []byte {
	return h.append(append(make([]byte, 0, len(s.context)+headerSize), s.context...))
}

// seal appends the sealed record to dst.
func (s *sealer) seal(dst []byte, h header, at time.Time, r Record) []byte {
	inner := make([]byte, 0, innerSize+len(r.ID)+len(r.Data))
	inner = binary.BigEndian.AppendUint64(inner, uint64(at.UnixNano()))
	inner = binary.BigEndian.AppendUint16(inner, uint16(len(r.ID)))
	inner = append(inner, r.ID...)
	inner = append(inner, r.Data...)
	return s.aead.Seal(dst, nil, inner, s.associated(h))
}

var errSeal = errors.New("its seal does not open with the period's key")

// open gives the record back.
func (s *sealer) open(h header, sealed []byte) (Record, time.Time, error) {
	inner, err := s.aead.Open(nil, nil, sealed, s.associated(h))
	if err != nil || len(inner) < innerSize {
		return Record{}, time.Time{}, errSeal
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(inner))).UTC()
	n := int(binary.BigEndian.Uint16(inner[8:]))
	rest := inner[innerSize:]
	if n > len(rest) {
		return Record{}, time.Time{}, errSeal
	}
	return Record{string(rest[:n]), rest[n:]}, at, nil
}

// keyID is the keyed hash by which a record is recognised again: the first
// 16 bytes of HMAC-SHA-256.
func keyID(key []byte, id string) keyedID {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	var sum [sha256.Size]byte
	mac.Sum(sum[:0])
	return keyedID(sum[:idSize])
}
