package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Programs, procedures and status of NFS: RFC 1833 (portmapper), RFC 1813 (version 3
// and MOUNT), RFC 7530 (version 4.0).
const (
	nfsProgram, nfsPort       = 100003, 2049
	mountProgram              = 100005
	portmapProgram, portmap   = 100000, 111
	mountMNT                  = 1
	nfs3GetAttr, nfs3ReadDir  = 1, 16
	nfs4Compound              = 1
	opAccess, opGetAttr       = 3, 9
	opLookup, opPutRoot       = 15, 24
	opReadDir                 = 26
	statusPerm, statusAccess  = 1, 13
	statusNoEntry             = 2
	statusWrongSec            = 10016
	statusMinorMismatch       = 10021
	handleLimit               = 128 // bytes of a file handle
	listSize                  = 4096
	portmapGetPort, tcpNumber = 3, 6
	exportLimit               = 30 * time.Second
	claimsLimit               = 4 // users that are claimed to be one
)

// outcome of one way to an export.
type outcome struct {
	listed  bool
	refuser bailey.Refuser
	// absent: the server does not serve this version, or not here.
	absent bool
	said   string
}

// export tries to list an export without a credential, by version 4 and by version 3.
func export(ctx context.Context, e *bailey.Export) Report {
	ctx, cancel := context.WithTimeout(ctx, exportLimit)
	defer cancel()
	if e.Null {
		return nfsNull(ctx, e)
	}
	v4, v3 := export4(ctx, e), export3(ctx, e)
	said := "version 4: " + v4.said + "; version 3: " + v3.said
	switch {
	case v4.listed || v3.listed:
		return accepted("%s:%s was listed without a credential (%s)", e.Server, e.Path, said)
	case v4.refuser != "" && (v3.refuser != "" || v3.absent):
		return refused(v4.refuser, "%s", said)
	case v3.refuser != "" && v4.absent:
		return refused(v3.refuser, "%s", said)
	}
	return failed("%s", said)
}

// portOf gives the port of NFS.
func portOf(e *bailey.Export) int {
	if e.Port > 0 {
		return e.Port
	}
	return nfsPort
}

// nfsNull calls the procedure that does nothing.
func nfsNull(ctx context.Context, e *bailey.Export) Report {
	c, err := rpcDial(ctx, e.Server, portOf(e))
	if err != nil {
		return unreached(err)
	}
	defer c.Close()
	for _, version := range []uint32{4, 3} {
		if _, err = c.call(nfsProgram, version, 0, nil); err == nil {
			return accepted("%s serves NFS version %d", e.Server, version)
		}
	}
	return failed("%s: %v", e.Server, err)
}

// unlisted judges an error on the way.
func unlisted(err error) outcome {
	switch {
	case errors.Is(err, errAuth):
		return outcome{refuser: bailey.RefuserAuthentication, said: err.Error()}
	case errors.Is(err, errNotServed):
		return outcome{absent: true, said: err.Error()}
	}
	return outcome{said: err.Error()}
}

// nfsStatus judges what the server says of a mount, a lookup or a listing.
func nfsStatus(what string, status uint32) outcome {
	said := fmt.Sprintf("%s: status %d", what, status)
	switch status {
	case 0:
		return outcome{listed: true}
	case statusPerm, statusAccess:
		return outcome{refuser: bailey.RefuserAuthorization, said: said}
	case statusWrongSec:
		return outcome{refuser: bailey.RefuserAuthentication, said: said}
	case statusMinorMismatch:
		return outcome{absent: true, said: said}
	}
	return outcome{said: said}
}

// claim asks for a list as root, and where permissions of the files refuse that, as those
// whom the server names as the owners: nothing vouches for a user number, so that
// who may list as one of them may be anybody. ask gives the owner of what
// refused, if the files' permissions were what did. If they refuse all of these, a
// user who is let in may still be there, and nothing is shown.
func claim(ask func(as user) (outcome, *user)) outcome {
	var tried []user
	for as := (user{}); ; {
		o, owner := ask(as)
		if o.listed {
			o.said = "listed as " + as.String()
		}
		if owner == nil {
			return o
		}
		tried = append(tried, as)
		if owner.uid == 0 {
			owner.uid = nobody // root was tried; this is for the group
		}
		if slices.Contains(tried, *owner) || len(tried) == claimsLimit {
			return outcome{said: fmt.Sprintf("%s: the machine was let in, and permissions of the files refused %v; whether others may list cannot be told", o.said, tried)}
		}
		as = *owner
	}
}

// isDenied tells the status of what permissions, of files or of an export, refuse.
func isDenied(status uint32) bool { return status == statusPerm || status == statusAccess }

// export4 looks the path up from the server's root, and lists it.
func export4(ctx context.Context, e *bailey.Export) outcome {
	c, err := rpcDial(ctx, e.Server, portOf(e))
	if err != nil {
		return unlisted(err)
	}
	defer c.Close()
	var names []string
	for _, name := range strings.Split(e.Path, "/") {
		if name != "" {
			names = append(names, name)
		}
	}
	return claim(func(as user) (outcome, *user) {
		c.as = as
		in, err := c.call(nfsProgram, 4, nfs4Compound, listCompound(names))
		if err != nil {
			return unlisted(err), nil
		}
		return judgeCompound(in)
	})
}

// Attributes and rights of version 4.
const (
	attributesWords  = 2
	ownerAttributes  = 1<<(36-32) | 1<<(37-32) // owner and owner_group, in the second word
	accessRead       = 0x01
	accessLookup     = 0x02
	attributesLimit  = 4096 // bytes
	compoundOpsLimit = 1024
)

// listCompound looks up the names, and lists the last. Before each step it asks what the user may
// do in the folder, and whose it is.
func listCompound(names []string) []byte {
	var args xdrOut
	args.opaque(nil) // tag
	args.words(0, uint32(1+3*(len(names)+1)), opPutRoot)
	whose := func() {
		args.words(opAccess, accessRead|accessLookup)
		args.words(opGetAttr, attributesWords, 0, ownerAttributes)
	}
	for _, name := range names {
		whose()
		args.words(opLookup)
		args.opaque([]byte(name))
	}
	whose()
	args.words(opReadDir, 0, 0, 0, 0, listSize, listSize, 0) // cookie and verifier of two words each; no attributes
	return args
}

// judgeCompound reads the answer to listCompound. It gives the owner of the folder in which the files'
// permissions refused.
func judgeCompound(in *xdrIn) (outcome, *user) {
	status := in.word()
	in.opaque(opaqueLimit) // tag
	done := in.word()
	if status == statusMinorMismatch {
		return nfsStatus("list", status), nil
	}
	var may uint32
	var owner *user
	for i := range min(done, compoundOpsLimit) {
		op, status := in.word(), in.word()
		if i == 0 && (in.err != nil || op != opPutRoot) {
			break
		}
		if in.err != nil {
			return outcome{said: in.err.Error()}, nil
		}
		if status == statusNoEntry {
			// A server may show an address only the exports that are for it.
			return outcome{absent: true, said: "the path is hidden from here, or there is none"}, nil
		}
		if status != 0 {
			// To look at a folder's attributes needs no right in it: who refuses that refuses
			// the export. So does who refuses a folder below one that may be searched.
			o := nfsStatus("list", status)
			if isDenied(status) && (op == opReadDir || op == opLookup && may&accessLookup == 0) {
				if owner == nil {
					return outcome{said: o.said + ": permissions of a folder whose owner is not told by number"}, nil
				}
				return o, owner
			}
			return o, nil
		}
		switch op {
		case opAccess:
			in.word() // what the server can tell
			may = in.word()
		case opGetAttr:
			owner = ownerOf(in)
		case opReadDir:
			return nfsStatus("list", status), nil
		}
	}
	return outcome{absent: true, said: "the answer is none of this version"}, nil
}

// ownerOf reads owner and group, where the server gives both as numbers.
func ownerOf(in *xdrIn) *user {
	words := in.word()
	var given [attributesWords]uint32
	for i := range min(words, attributesWords+1) {
		if word := in.word(); i < attributesWords {
			given[i] = word
		} else if word != 0 {
			in.err = errShort // attributes that were not asked for
		}
	}
	values := &xdrIn{left: in.opaque(attributesLimit)}
	if in.err != nil || words > attributesWords+1 || given != [attributesWords]uint32{0, ownerAttributes} {
		return nil
	}
	uid, err := strconv.ParseUint(string(values.opaque(attributesLimit)), 10, 32)
	gid, err2 := strconv.ParseUint(string(values.opaque(attributesLimit)), 10, 32)
	if err != nil || err2 != nil || values.err != nil {
		return nil
	}
	return &user{uint32(uid), uint32(gid)}
}

// export3 asks the mount service for the export's handle, and lists that. It does not tell the
// service afterwards that the export is no longer used: pods' requests often come from
// their node's address, and a service that does not count would take the node's own mount off
// its list. A line more in that list is the smaller evil.
func export3(ctx context.Context, e *bailey.Export) outcome {
	port := e.MountPort
	if port == 0 {
		var found outcome
		if port, found = mountPort(ctx, e.Server); port == 0 {
			return found
		}
	}
	m, err := rpcDial(ctx, e.Server, port)
	if err != nil {
		return outcome{absent: unreached(err).Refuser == bailey.RefuserNetwork, said: "the mount service: " + err.Error()}
	}
	defer m.Close()
	var path xdrOut
	path.opaque([]byte(e.Path))
	in, err := m.call(mountProgram, 3, mountMNT, path)
	if err != nil {
		return unlisted(err)
	}
	status := in.word()
	if status != 0 || in.err != nil {
		if in.err != nil {
			return outcome{said: in.err.Error()}
		}
		return nfsStatus("mount", status)
	}
	var handle xdrOut
	handle.opaque(in.opaque(handleLimit))
	if in.err != nil {
		return outcome{said: in.err.Error()}
	}
	c, err := rpcDial(ctx, e.Server, portOf(e))
	if err != nil {
		return unlisted(err)
	}
	defer c.Close()
	return claim(func(as user) (outcome, *user) {
		c.as = as
		list := slices.Clone(handle)
		list.words(0, 0, 0, 0, listSize) // cookie and verifier of two words each
		status, _, err := c.status(nfs3ReadDir, list)
		switch {
		case err != nil:
			return unlisted(err), nil
		case !isDenied(status):
			return nfsStatus("list", status), nil
		}
		denied := nfsStatus("list", status)
		status, in, err := c.status(nfs3GetAttr, handle)
		switch {
		case err != nil:
			return unlisted(err), nil
		case status != 0: // attributes need no right: it is the export that is refused
			return nfsStatus("attributes", status), nil
		}
		in.word() // type
		in.word() // mode
		in.word() // links
		owner := &user{in.word(), in.word()}
		if in.err != nil {
			return outcome{said: in.err.Error()}, nil
		}
		return denied, owner
	})
}

// status calls a procedure of version 3, and gives the status and what comes after it.
func (c *rpcConn) status(procedure uint32, arguments []byte) (uint32, *xdrIn, error) {
	in, err := c.call(nfsProgram, 3, procedure, arguments)
	if err != nil {
		return 0, nil, err
	}
	status := in.word()
	return status, in, in.err
}

// mountPort asks the portmapper where the mount service is.
func mountPort(ctx context.Context, server string) (int, outcome) {
	c, err := rpcDial(ctx, server, portmap)
	if err != nil {
		return 0, outcome{absent: unreached(err).Refuser == bailey.RefuserNetwork, said: "the portmapper: " + err.Error()}
	}
	defer c.Close()
	var args xdrOut
	args.words(mountProgram, 3, tcpNumber, 0)
	in, err := c.call(portmapProgram, 2, portmapGetPort, args)
	if err != nil {
		return 0, unlisted(err)
	}
	port := in.word()
	if in.err != nil || port > 65535 {
		return 0, outcome{said: "the portmapper gives no port"}
	}
	return int(port), outcome{absent: port == 0, said: "no mount service is registered"}
}
