package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// listeners reads the sockets of the machine's own network that wait for others.
func (c *collector) listeners(ctx context.Context) {
	var all []bailey.HostListener
	inodes := map[string]int{} // of the socket -> index in all
	seen := false
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := readBounded(filepath.Join(c.proc, "1/net", table), 16<<20)
		if err != nil {
			continue
		}
		seen = true
		for line := range strings.Lines(string(text)) {
			l, inode, ok := listener(line, strings.TrimSuffix(table, "6"))
			if !ok || len(all) >= maxListeners {
				continue
			}
			inodes["socket:["+inode+"]"] = len(all)
			all = append(all, l)
		}
	}
	if !seen {
		c.unseen("listeners")
		return
	}
	c.owners(ctx, inodes, all)
	slices.SortFunc(all, func(a, b bailey.HostListener) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Program, b.Program))
	})
	c.host.Listeners = slices.Compact(all)
}

// listener reads a line of /proc/net/tcp or udp (proc_net_tcp(5)): sockets in state
// LISTEN, and for UDP those without a peer.
func listener(line, protocol string) (l bailey.HostListener, inode string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return l, "", false
	}
	const listen, unconnected = "0A", "07"
	if protocol == "tcp" && fields[3] != listen || protocol == "udp" && (fields[3] != unconnected || !strings.HasSuffix(fields[2], ":0000")) {
		return l, "", false
	}
	address, port, found := strings.Cut(fields[1], ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if !found || err != nil {
		return l, "", false
	}
	ip, ok := hexAddress(address)
	return bailey.HostListener{Protocol: protocol, Address: ip, Port: int(number)}, fields[9], ok
}

// hexAddress reads an address as the kernel prints it: words of 32 bits, each in the
// byte order of the machine, which is little-endian wherever nodes run.
func hexAddress(text string) (string, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return "", false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(b)
	return ip.Unmap().String(), ok
}

// owners finds the programs of the sockets, as far as it may.
func (c *collector) owners(ctx context.Context, inodes map[string]int, all []bailey.HostListener) {
	entries, err := os.ReadDir(c.proc)
	if err != nil {
		return
	}
	for i, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil || i > maxProcesses || ctx.Err() != nil {
			continue
		}
		folder := filepath.Join(c.proc, entry.Name(), "fd")
		descriptors, err := os.ReadDir(folder)
		if err != nil {
			continue // not ours to see, or it ended
		}
		for _, d := range descriptors {
			target, err := os.Readlink(filepath.Join(folder, d.Name()))
			if err != nil {
				continue
			}
			if at, found := inodes[target]; found && all[at].Program == "" {
				all[at].Program = c.procText(entry.Name() + "/comm")
			}
		}
	}
}
