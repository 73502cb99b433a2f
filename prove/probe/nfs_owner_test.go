package probe

import (
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// folder is one of a stand-in for an NFS server with root-squash: numbers that clients send
// decide, but for root's.
type folder struct {
	mode     uint32
	uid, gid uint32
	named    bool // version 4 gives names in the place of numbers
	shut     bool // the export is not for this client
}

// may reports whether a user has the right (4: read, 1: search).
func (f *folder) may(as user, right uint32) bool {
	if as.uid == 0 {
		as.uid = nobody
	}
	if as.gid == 0 {
		as.gid = nobody
	}
	switch {
	case as.uid == f.uid:
		right <<= 6
	case as.gid == f.gid:
		right <<= 3
	}
	return f.mode&right == right
}

// squashed serves a path of folders below an open one, by versions 3 and 4.0.
type squashed struct{ folders []folder }

func (s *squashed) serve(t *testing.T) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a reserved port needs root")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *squashed) talk(c net.Conn) {
	defer c.Close()
	for {
		record, err := readRecord(c)
		if err != nil {
			return
		}
		in := &xdrIn{left: record}
		xid := in.word()
		in.word() // a call
		in.word() // of RPC 2
		program, version, procedure := in.word(), in.word(), in.word()
		in.word() // AUTH_SYS
		who := &xdrIn{left: in.opaque(opaqueLimit)}
		who.word()
		who.opaque(opaqueLimit)
		as := user{who.word(), who.word()}
		in.word() // no verifier
		in.opaque(opaqueLimit)
		var out xdrOut
		out.words(xid, 1, 0, 0, 0, 0)
		last := &s.folders[len(s.folders)-1]
		switch {
		case program == mountProgram:
			out.words(0)
			out.opaque([]byte("handle"))
			out.words(1, authSys)
		case version == 4:
			s.compound(in, as, &out)
		case procedure == nfs3GetAttr && last.shut, procedure == nfs3ReadDir && (last.shut || !last.may(as, 4)):
			out.words(statusAccess, 0)
		case procedure == nfs3GetAttr:
			out.words(0, 2, last.mode, 2, last.uid, last.gid)
			out.words(make([]uint32, 16)...)
		default:
			out.words(0, 0, 0, 0, 0, 1)
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, 1<<31|uint32(len(out))), out...)); err != nil {
			return
		}
	}
}

func (s *squashed) compound(in *xdrIn, as user, out *xdrOut) {
	in.opaque(opaqueLimit)
	in.word() // minor version
	ops := in.word()
	at := folder{mode: 0o755}
	below := s.folders
	var results xdrOut
	status, done := uint32(0), uint32(0)
	for ; done < ops && status == 0; done++ {
		op := in.word()
		switch {
		case op == opPutRoot:
		case op == opLookup:
			in.opaque(opaqueLimit)
			if !at.may(as, 1) {
				status = statusAccess
				break
			}
			at, below = below[0], below[1:]
		case op == opAccess:
			in.word()
			if at.shut {
				status = statusAccess
			}
		case op == opGetAttr:
			in.word()
			in.word()
			in.word()
		case op == opReadDir:
			if !at.may(as, 4) {
				status = statusAccess
			}
		}
		results.words(op, status)
		if status != 0 {
			continue
		}
		switch op {
		case opAccess:
			may := uint32(0)
			if at.may(as, 1) {
				may |= accessLookup
			}
			if at.may(as, 4) {
				may |= accessRead
			}
			results.words(accessRead|accessLookup, may)
		case opGetAttr:
			results.words(2, 0, ownerAttributes)
			var values xdrOut
			for _, id := range []uint32{at.uid, at.gid} {
				name := "jane@example.com"
				if !at.named {
					name = numbers[id]
				}
				values.opaque([]byte(name))
			}
			results.opaque(values)
		case opReadDir:
			results.words(0, 0, 0, 1)
		}
	}
	out.words(status, 0, done)
	*out = append(*out, results...)
}

var numbers = map[uint32]string{0: "0", 1000: "1000", 2000: "2000"}

// TestRootSquash: a server that turns root down by the files' permissions asks nobody who he
// is: who says the owner's number is let in.
func TestRootSquash(t *testing.T) {
	open := folder{mode: 0o755}
	for name, c := range map[string]struct {
		folders []folder
		path    string
		want    string // of the message
		listed  bool
		refuser bailey.Refuser
	}{
		"an owner's folder":            {folders: []folder{{mode: 0o700, uid: 1000, gid: 1000}}, listed: true, want: "version 4: listed as user 1000 of group 1000; version 3: listed as user 1000"},
		"a group's":                    {folders: []folder{{mode: 0o750, gid: 2000}}, listed: true, want: "version 3: listed as user 65534 of group 2000"},
		"below an owner's":             {folders: []folder{{mode: 0o700, uid: 1000, gid: 1000}, open}, path: "/home/data", listed: true, want: "version 4: listed as user 1000"},
		"root's own":                   {folders: []folder{{mode: 0o700}}, want: "permissions of the files refused"},
		"two owners on the way":        {folders: []folder{{mode: 0o700, uid: 1000}, {mode: 0o700, uid: 2000}}, path: "/home/data", listed: true, want: "version 4: list: status 13: the machine was let in"},
		"an owner with a name":         {folders: []folder{{mode: 0o700, uid: 1000, gid: 1000, named: true}}, listed: true, want: "not told by number; version 3: listed as user 1000"},
		"an export for other machines": {folders: []folder{{mode: 0o755, shut: true}}, refuser: bailey.RefuserAuthorization, want: "version 4: list: status 13"},
		"the same below an open folder": {folders: []folder{open, {mode: 0o755, shut: true}}, path: "/home/data",
			refuser: bailey.RefuserAuthorization, want: "version 3: attributes: status 13"},
	} {
		t.Run(name, func(t *testing.T) {
			port := (&squashed{c.folders}).serve(t)
			if c.path == "" {
				c.path = "/data"
			}
			r := Do(t.Context(), &bailey.Task{Export: &bailey.Export{Server: "127.0.0.1", Path: c.path, Port: port, MountPort: port}})
			if r.Accepted != c.listed || r.Refuser != c.refuser || r.Failed != (!c.listed && c.refuser == "") || !strings.Contains(r.Message, c.want) {
				t.Errorf("%+v", r)
			}
		})
	}
}
