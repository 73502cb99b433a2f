package probe

import (
	"context"
	"errors"
	"fmt"
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
	mountMNT, mountUMNT       = 1, 3
	nfs3ReadDir               = 16
	nfs4Compound              = 1
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
		return accepted("%s:%s was listed as root without a credential (%s)", e.Server, e.Path, said)
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
		return outcome{listed: true, said: "listed"}
	case statusPerm, statusAccess:
		return outcome{refuser: bailey.RefuserAuthorization, said: said}
	case statusWrongSec:
		return outcome{refuser: bailey.RefuserAuthentication, said: said}
	case statusMinorMismatch:
		return outcome{absent: true, said: said}
	}
	return outcome{said: said}
}

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
	var args xdrOut
	args.opaque(nil) // tag
	args.words(0, uint32(2+len(names)), opPutRoot)
	for _, name := range names {
		args.words(opLookup)
		args.opaque([]byte(name))
	}
	args.words(opReadDir, 0, 0, 0, 0, listSize, listSize, 0) // cookie and verifier of two words each; no attributes
	in, err := c.call(nfsProgram, 4, nfs4Compound, args)
	if err != nil {
		return unlisted(err)
	}
	status := in.word()
	in.opaque(opaqueLimit) // tag
	if done, first := in.word(), in.word(); status != statusMinorMismatch && (in.err != nil || done == 0 || first != opPutRoot) {
		return outcome{absent: true, said: "the answer is none of this version"}
	}
	if status == statusNoEntry {
		// A server may show an address only the exports that are for it.
		return outcome{absent: true, said: "the path is hidden from here, or there is none"}
	}
	return nfsStatus("list", status)
}

// export3 asks the mount service for the export's handle, and lists that.
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
	handle := in.opaque(handleLimit)
	if in.err != nil {
		return outcome{said: in.err.Error()}
	}
	defer m.call(mountProgram, 3, mountUMNT, path) // the server keeps a list of who mounts
	c, err := rpcDial(ctx, e.Server, portOf(e))
	if err != nil {
		return unlisted(err)
	}
	defer c.Close()
	var args xdrOut
	args.opaque(handle)
	args.words(0, 0, 0, 0, listSize) // cookie and verifier of two words each
	if in, err = c.call(nfsProgram, 3, nfs3ReadDir, args); err != nil {
		return unlisted(err)
	}
	status = in.word()
	if in.err != nil {
		return outcome{said: in.err.Error()}
	}
	return nfsStatus("list", status)
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
