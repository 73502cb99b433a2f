package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/baileyhq/bailey"
)

const (
	wireLimit     = 20 * time.Second
	datagramLimit = 5 * time.Second
	wireArrivals  = 5 // how often the marker has to arrive unseen
	wireAsk       = 500 * time.Millisecond
	frameLimit    = 256 << 10 // bytes; the kernel hands over what it will cut into packets later
	wireBuffer    = 8 << 20
	discardPort   = "9" // RFC 863
)

// wire looks for the marker in what leaves the node. It looks at packets on their
// way out, and not at those that come in: of these the kernel shows what it
// decrypted (IPsec) as if it had come in like that.
func wire(ctx context.Context, w *bailey.Wire) Report {
	limit := w.Timeout
	if limit <= 0 {
		limit = wireLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var to []netip.Addr
	for _, text := range w.To {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return failed("%v", err)
		}
		to = append(to, address.Unmap())
	}
	if len(to) == 0 || (w.Sender == "") == (w.Datagram == "") {
		return failed("the wire is read for a sender or a datagram, and for the addresses it goes to")
	}
	devices, err := wireDevices(to)
	if err != nil {
		return failed("%v", err)
	}
	tap, err := openTap(to)
	if err != nil {
		return failed("what leaves the node cannot be read: %v", err)
	}
	defer tap.close()
	s := sight{tap: tap, devices: devices, to: to, marker: markerBytes(w.Marker)}
	if w.Datagram != "" {
		return s.datagram(ctx, w.Datagram)
	}
	return s.sender(ctx, w.Sender)
}

// sight is what was seen on the wire.
type sight struct {
	tap     *tap
	devices map[int]string
	to      []netip.Addr
	marker  []byte
	bytes   int64 // that left for these addresses
}

func (s *sight) names() string {
	return strings.Join(slices.Sorted(maps.Values(s.devices)), ", ")
}

// until reads for a while, and gives the device by which the marker left; empty if
// it was not seen.
func (s *sight) until(ctx context.Context, end time.Time) (string, error) {
	for time.Now().Before(end) && ctx.Err() == nil {
		frame, size, device, err := s.tap.read()
		if err != nil {
			return "", err
		}
		name, own := s.devices[device]
		if !own {
			continue
		}
		if isFor(frame, s.to) {
			s.bytes += int64(size)
		}
		if bytes.Contains(frame, s.marker) {
			return name, nil
		}
	}
	return "", nil
}

// datagram sends the marker itself, until it sees it.
func (s *sight) datagram(ctx context.Context, to string) Report {
	c, err := net.Dial("udp", bracketed(to))
	if err != nil {
		return failed("%v", err)
	}
	defer c.Close()
	for end := time.Now().Add(datagramLimit); time.Now().Before(end) && ctx.Err() == nil; {
		// That nobody listens there is said by later writes, and does not matter.
		if _, err := c.Write(s.marker); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return failed("%v", err)
		}
		device, err := s.until(ctx, time.Now().Add(sendEvery))
		if err != nil {
			return failed("%v", err)
		}
		if device != "" {
			return accepted("the marker sent to %s was seen leaving by %s", to, device)
		}
	}
	return failed("the marker sent to %s from the node itself was not seen leaving by %s: "+
		"either it left by another device, or what nodes say to each other is encrypted too", to, s.names())
}

// sender looks for the marker while the sender's arrives at its listener.
func (s *sight) sender(ctx context.Context, sender string) Report {
	first, err := arrivals(ctx, sender)
	if err != nil {
		return failed("the sender does not answer: %v", err)
	}
	for ctx.Err() == nil {
		device, err := s.until(ctx, time.Now().Add(wireAsk))
		if err != nil {
			return failed("%v", err)
		}
		if device != "" {
			return accepted("what one pod sent to another was read in plain text as it left the node by %s", device)
		}
		now, err := arrivals(ctx, sender)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return failed("the sender does not answer: %v", err)
		}
		if n := now - first; n >= wireArrivals {
			return s.unseen(n)
		}
	}
	return failed("the marker did not arrive at the other node %d times within the time", wireArrivals)
}

// unseen judges after the marker arrived n times and was not seen.
func (s *sight) unseen(n int64) Report {
	lost, err := s.tap.lost()
	if err != nil {
		return failed("%v", err)
	}
	// The first of these may have been on its way before the reading began.
	carried := (n - 1) * sendSize
	switch {
	case lost > 0:
		return failed("%d packets left the node faster than they could be read, so that the marker may have been among them", lost)
	case s.bytes < carried:
		return failed("%d KiB arrived at the other node, and only %d KiB left by %s for its addresses: the wire is elsewhere",
			carried>>10, s.bytes>>10, s.names())
	}
	return refused(bailey.RefuserTransit, "the marker arrived %d times and was not in the %d KiB that left by %s", n, s.bytes>>10, s.names())
}

// wireDevices gives the node's own network devices: those with hardware behind them,
// that of the default route, and the one by which the address is reached. What
// is no Ethernet (a tunnel, WireGuard) is no wire: its packets leave by another.
func wireDevices(to []netip.Addr) (map[int]string, error) {
	routed, err := defaultRoute()
	if err != nil {
		return nil, err
	}
	var local netip.Addr
	for _, address := range to {
		if c, err := net.Dial("udp", net.JoinHostPort(address.String(), discardPort)); err == nil { // sends nothing
			if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
				local = a.AddrPort().Addr().Unmap()
			}
			_ = c.Close()
		}
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	devices := map[int]string{}
	for i := range all {
		in := &all[i]
		folder := filepath.Join("/sys/class/net", filepath.Base(in.Name))
		hardware, err := os.ReadFile(filepath.Join(folder, "type"))
		if err != nil || strings.TrimSpace(string(hardware)) != fmt.Sprint(unix.ARPHRD_ETHER) || in.Flags&net.FlagUp == 0 {
			continue
		}
		_, err = os.Lstat(filepath.Join(folder, "device"))
		if err == nil || in.Name == routed || holds(in, local) {
			devices[in.Index] = in.Name
		}
	}
	if len(devices) == 0 {
		return nil, errors.New("the node has no network device of its own that is Ethernet")
	}
	return devices, nil
}

func holds(in *net.Interface, address netip.Addr) bool {
	addresses, err := in.Addrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == address
	})
}

// defaultRoute gives the device of the IPv4 default route; empty if there is none.
func defaultRoute() (string, error) {
	data, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			return f[0], nil
		}
	}
	return "", nil
}

// tap reads the packets that leave by any device.
type tap struct {
	fd     int
	buffer []byte
}

// openTap gives a tap that lets through packets on their way out to one of the IPv4
// addresses, and those that are not IPv4.
func openTap(to []netip.Addr) (*tap, error) {
	program, err := bpf.Assemble(outgoing(to))
	if err != nil {
		return nil, err
	}
	// Of no protocol it hears nothing until the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w (CAP_NET_RAW is needed)", err)
	}
	t := &tap{fd, make([]byte, frameLimit)}
	filter := make([]unix.SockFilter, len(program))
	for i, raw := range program {
		filter[i] = unix.SockFilter{Code: raw.Op, Jt: raw.Jt, Jf: raw.Jf, K: raw.K}
	}
	patience := unix.NsecToTimeval(int64(100 * time.Millisecond))
	every := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, wireBuffer),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every}),
	)
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tap) close() { _ = unix.Close(t.fd) }

// read gives the next packet, as much of it as fits, its whole size and its device;
// nothing if none came for a moment.
func (t *tap) read() (frame []byte, size, device int, err error) {
	n, from, err := unix.Recvfrom(t.fd, t.buffer, unix.MSG_TRUNC)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil, 0, 0, nil
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("what leaves the node cannot be read: %w", err)
	}
	link, ok := from.(*unix.SockaddrLinklayer)
	if !ok {
		return nil, 0, 0, nil
	}
	return t.buffer[:min(n, len(t.buffer))], n, link.Ifindex, nil
}

// isFor reports whether a frame carries a packet to one of the addresses. What is no IP is read
// for the marker, and carries nothing that could be told from other traffic.
func isFor(frame []byte, to []netip.Addr) bool {
	const etherType, header = 12, 14
	if len(frame) < header {
		return false
	}
	var raw []byte
	switch packet := frame[header:]; binary.BigEndian.Uint16(frame[etherType:]) {
	case unix.ETH_P_IP:
		raw = packet[min(16, len(packet)):min(20, len(packet))]
	case unix.ETH_P_IPV6:
		raw = packet[min(24, len(packet)):min(40, len(packet))]
	}
	address, ok := netip.AddrFromSlice(raw)
	return ok && slices.Contains(to, address)
}

// lost gives how many packets the kernel dropped since the tap was asked last.
func (t *tap) lost() (uint32, error) {
	stats, err := unix.GetsockoptTpacketStats(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, err
	}
	return stats.Drops, nil
}

// outgoing is the filter's program.
func outgoing(to []netip.Addr) []bpf.Instruction {
	const (
		etherType, etherIPv4 = 12, 0x0800
		ipv4Destination      = 14 + 16
	)
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: etherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherIPv4, SkipTrue: 1},
		bpf.RetConstant{Val: frameLimit},
		bpf.LoadAbsolute{Off: ipv4Destination, Size: 4},
	}
	for _, address := range to {
		if address.Is4() {
			raw := address.As4()
			program = append(program,
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(raw[:]), SkipTrue: 1},
				bpf.RetConstant{Val: frameLimit})
		}
	}
	return append(program, bpf.RetConstant{Val: 0})
}
