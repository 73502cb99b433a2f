package probe

import (
	"encoding/binary"
	"errors"
)

var errShort = errors.New("the answer is shorter than it says")

// xdrOut writes XDR (RFC 4506).
type xdrOut []byte

func (x *xdrOut) words(values ...uint32) {
	for _, v := range values {
		*x = binary.BigEndian.AppendUint32(*x, v)
	}
}

// opaque writes bytes of a length that is told, padded to four.
func (x *xdrOut) opaque(b []byte) {
	x.words(uint32(len(b)))
	*x = append(*x, b...)
	for len(b)%4 != 0 {
		*x, b = append(*x, 0), append(b, 0)
	}
}

// xdrIn reads XDR. After the first error it gives zeros.
type xdrIn struct {
	left []byte
	err  error
}

func (x *xdrIn) word() uint32 {
	if len(x.left) < 4 {
		x.left, x.err = nil, errShort
		return 0
	}
	v := binary.BigEndian.Uint32(x.left)
	x.left = x.left[4:]
	return v
}

// opaque reads at most that many bytes.
func (x *xdrIn) opaque(most int) []byte {
	n := x.word()
	padded := (uint64(n) + 3) &^ 3
	if uint64(n) > uint64(most) || padded > uint64(len(x.left)) {
		x.left, x.err = nil, errShort
		return nil
	}
	b := x.left[:n]
	x.left = x.left[padded:]
	return b
}
