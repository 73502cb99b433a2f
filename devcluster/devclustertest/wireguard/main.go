// Wireguard is a WireGuard device in user space, for nodes whose kernel has none. It
// reads its configuration, as WireGuard's own interface has it, from standard input up
// to an empty line, says "up", and lives until standard input ends.
//
//	wireguard NAME
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: wireguard NAME")
	}
	in := bufio.NewReader(os.Stdin)
	var config strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		if line == "\n" {
			break
		}
		config.WriteString(line)
	}
	link, err := tun.CreateTUN(os.Args[1], device.DefaultMTU)
	if err != nil {
		return err
	}
	d := device.NewDevice(link, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
	defer d.Close()
	if err := d.IpcSet(config.String()); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	fmt.Println("up")
	_, err = io.Copy(io.Discard, in)
	return err
}
