package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/memfs"
	nfs "github.com/willscott/go-nfs"
	"github.com/willscott/go-nfs/helpers"

	"github.com/baileyhq/bailey"
)

// closed is a server whose mount service lets nobody in.
type closed struct{ nfs.Handler }

func (closed) Mount(context.Context, net.Conn, nfs.MountRequest) (nfs.MountStatus, billy.Filesystem, []nfs.AuthFlavor) {
	return nfs.MountStatusErrAcces, memfs.New(), nil // the server makes a handle of it all the same
}

// serveNFS serves NFS version 3 and MOUNT on loopback, and gives the port.
func serveNFS(t *testing.T, wrap func(nfs.Handler) nfs.Handler) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a reserved port needs root")
	}
	fs := memfs.New()
	f, err := fs.Create("payroll")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go nfs.Serve(l, wrap(helpers.NewCachingHandler(helpers.NewNullAuthHandler(fs), 64)))
	return l.Addr().(*net.TCPAddr).Port
}

func TestExport(t *testing.T) {
	open := serveNFS(t, func(h nfs.Handler) nfs.Handler { return h })
	shut := serveNFS(t, func(h nfs.Handler) nfs.Handler { return closed{h} })
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := dead.Addr().(*net.TCPAddr).Port
	dead.Close()
	try := func(port int, null bool) Report {
		return Do(t.Context(), &bailey.Task{Export: &bailey.Export{Server: "127.0.0.1", Path: "/data", Port: port, MountPort: port, Null: null}})
	}
	for _, port := range []int{open, shut} {
		if r := try(port, true); !r.Accepted {
			t.Errorf("the server lives: %+v", r)
		}
	}
	if r := try(open, false); !r.Accepted || strings.Contains(r.Message, "payroll") {
		t.Errorf("an open export: %+v", r)
	}
	if r := try(shut, false); r.Refuser != bailey.RefuserAuthorization {
		t.Errorf("one that lets nobody in: %+v", r)
	}
	if r := try(nobody, true); r.Accepted || r.Refuser != bailey.RefuserNetwork {
		t.Errorf("no server: %+v", r)
	}
	if r := try(nobody, false); !r.Failed {
		t.Errorf("no server shows nothing: %+v", r)
	}
}

// reply makes an RPC reply of these words.
func reply(words ...uint32) []byte {
	var x xdrOut
	x.words(words...)
	return x
}

func TestParseReply(t *testing.T) {
	for name, c := range map[string]struct {
		reply []byte
		want  outcome
	}{
		"a credential is asked for": {reply(7, 1, 1, 1, 5), outcome{refuser: bailey.RefuserAuthentication}},
		"another version of RPC":    {reply(7, 1, 1, 0, 3, 3), outcome{absent: true}},
		"no such program":           {reply(7, 1, 0, 0, 0, 1), outcome{absent: true}},
		"another call's":            {reply(8, 1, 0, 0, 0, 0), outcome{}},
		"a verifier too long":       {reply(7, 1, 0, 0, 1<<31, 0), outcome{}},
		"cut off":                   {reply(7, 1, 0), outcome{}},
		"the server's own trouble":  {reply(7, 1, 0, 0, 0, 5), outcome{}},
	} {
		_, err := parseReply(c.reply, 7)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if got := unlisted(err); got.refuser != c.want.refuser || got.absent != c.want.absent {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(reply(1<<31|24, 7, 1, 0, 0, 0, 0, 0))
	f.Add(reply(1<<31|20, 7, 1, 1, 1, 5))
	f.Add(reply(4, 7, 1<<31|8, 1, 0))
	f.Add(reply(1<<31|88, 7, 1, 0, 0, 0, 0, 13, 0, 4, opPutRoot, 0, opAccess, 0, 3, 2, opGetAttr, 0, 2, 0, ownerAttributes, 0, opReadDir, 13))
	f.Add(binary.BigEndian.AppendUint32(nil, 0xffffffff))
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := readRecord(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(record) > replyLimit {
			t.Fatalf("%d bytes", len(record))
		}
		in, err := parseReply(record, 7)
		if err != nil {
			return
		}
		if o, owner := judgeCompound(&xdrIn{left: in.left}); o.listed && owner != nil {
			t.Fatalf("listed, and refused by an owner: %+v", o)
		}
		in.word()
		if h := in.opaque(handleLimit); len(h) > handleLimit {
			t.Fatalf("a handle of %d bytes", len(h))
		}
	})
}
