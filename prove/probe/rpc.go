package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// What the client needs of ONC RPC (RFC 5531). A library was looked at; it trusts the
// lengths that a server sends, and panics where the server says what it does not expect.
const (
	rpcVersion   = 2
	rpcTimeout   = 5 * time.Second
	replyLimit   = 64 << 10 // bytes
	authNone     = 0
	authSys      = 1
	opaqueLimit  = 400 // bytes of an authenticator
	reservedLow  = 600 // ports that only a privileged process may have; some servers ask for one
	reservedHigh = 1023
)

// What a server may say of a call that it did not carry out.
var (
	errNotServed = errors.New("the server does not serve it")
	errAuth      = errors.New("the server refuses the credential")
)

// rpcConn is a connection to one port of a server.
type rpcConn struct {
	net.Conn
	xid uint32
	as  user
}

// user is whom a call claims to be of. The zero value is root.
type user struct{ uid, gid uint32 }

func (u user) String() string { return fmt.Sprintf("user %d of group %d", u.uid, u.gid) }

// nobody is the user who by custom has no right of his own.
const nobody = 65534

// rpcDial connects from a reserved port.
func rpcDial(ctx context.Context, server string, port int) (*rpcConn, error) {
	address := net.JoinHostPort(server, strconv.Itoa(port))
	for range 10 {
		from := reservedLow + rand.IntN(reservedHigh-reservedLow+1)
		c, err := (&net.Dialer{Timeout: dialLimit, LocalAddr: &net.TCPAddr{Port: from}}).DialContext(ctx, "tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue
		}
		if errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("no reserved port may be used here, and a server may ask for one: %w", err)
		}
		if err != nil {
			return nil, err
		}
		return &rpcConn{Conn: c, xid: rand.Uint32()}, nil
	}
	return nil, errors.New("no reserved port is free")
}

// call calls a procedure as a user of the machine it runs on, for which nothing
// vouches, and gives what comes after the reply's header.
func (c *rpcConn) call(program, version, procedure uint32, arguments []byte) (*xdrIn, error) {
	c.xid++
	var who, message xdrOut
	who.words(0) // stamp
	who.opaque([]byte("bailey-probe"))
	who.words(c.as.uid, c.as.gid, 0) // no other groups
	message.words(c.xid, 0, rpcVersion, program, version, procedure, authSys)
	message.opaque(who)
	message.words(authNone, 0)
	message = append(message, arguments...)
	const last = 1 << 31 // fragment
	_ = c.SetDeadline(time.Now().Add(rpcTimeout))
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, last|uint32(len(message))), message...)); err != nil {
		return nil, err
	}
	reply, err := readRecord(c)
	if err != nil {
		return nil, err
	}
	return parseReply(reply, c.xid)
}

// readRecord reads the fragments of one message.
func readRecord(r io.Reader) ([]byte, error) {
	var record []byte
	for range 64 {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		word := binary.BigEndian.Uint32(head[:])
		n := int64(word &^ (1 << 31))
		if n+int64(len(record)) > replyLimit {
			return nil, fmt.Errorf("the answer is longer than %d bytes", replyLimit)
		}
		part := make([]byte, n)
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		record = append(record, part...)
		if word>>31 == 1 {
			return record, nil
		}
	}
	return nil, errors.New("the answer has too many fragments")
}

// parseReply reads a reply's header.
func parseReply(reply []byte, xid uint32) (*xdrIn, error) {
	in := &xdrIn{left: reply}
	if got, kind := in.word(), in.word(); in.err == nil && (got != xid || kind != 1) {
		return nil, errors.New("the answer is to another call")
	}
	const accepted, denied, authError = 0, 1, 1
	switch status := in.word(); {
	case in.err != nil:
	case status == denied:
		if reject := in.word(); reject == authError && in.err == nil {
			return nil, fmt.Errorf("%w (auth_stat %d)", errAuth, in.word())
		}
		return nil, errNotServed // another version of RPC
	case status != accepted:
		return nil, fmt.Errorf("the answer has the status %d, which there is none of", status)
	}
	in.word() // the verifier's flavor
	in.opaque(opaqueLimit)
	status := in.word()
	if in.err != nil {
		return nil, in.err
	}
	const unavailable, mismatch, noProcedure = 1, 2, 3
	switch status {
	case 0:
		return in, nil
	case unavailable, mismatch, noProcedure:
		return nil, fmt.Errorf("%w (accept_stat %d)", errNotServed, status)
	}
	return nil, fmt.Errorf("the server could not do it (accept_stat %d)", status)
}
