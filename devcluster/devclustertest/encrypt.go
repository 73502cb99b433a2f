package devclustertest

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster"
)

const (
	wireguardPort = 51820
	wireguardLink = "wg0"
)

// Encrypt gives each node a WireGuard device, run in user space, and sends through it
// what goes to the other nodes' pods, as Flannel's backend of that name does. It ends
// with the test. Packets between the nodes themselves stay as they are. [Decrypt] takes
// one node's way to another out again.
func Encrypt(t testing.TB, cluster *devcluster.Cluster, nodes ...*devcluster.Node) {
	t.Helper()
	program := filepath.Join(cluster.Dir, "tmp", "wireguard")
	if _, err := os.Stat(program); err != nil {
		build(t, "", "github.com/baileyhq/bailey/devcluster/devclustertest/wireguard", program)
	}
	keys := make([]*ecdh.PrivateKey, len(nodes))
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for i, node := range nodes {
		var config strings.Builder
		fmt.Fprintf(&config, "private_key=%s\nlisten_port=%d\n", hex.EncodeToString(keys[i].Bytes()), wireguardPort)
		for k, peer := range nodes {
			if k != i {
				fmt.Fprintf(&config, "public_key=%s\nendpoint=%s:%d\nallowed_ip=%s\n",
					hex.EncodeToString(keys[k].PublicKey().Bytes()), peer.IP, wireguardPort, peer.Pods)
			}
		}
		wireguard(t, node, program, config.String()+"\n")
		for k, peer := range nodes {
			if k != i {
				onNode(t, node, "ip", "route", "replace", peer.Pods, "dev", wireguardLink)
			}
		}
	}
}

// Decrypt leaves what goes from one node to the pods of another in plain text.
func Decrypt(t testing.TB, from, to *devcluster.Node) {
	t.Helper()
	onNode(t, from, "ip", "route", "del", to.Pods, "dev", wireguardLink)
}

// wireguard starts the program on the node, and ends it with the test.
func wireguard(t testing.TB, node *devcluster.Node, program, config string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	const inside = "/opt/bailey/wireguard"
	if err := os.WriteFile(filepath.Join(node.Root, inside), data, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := node.Command(context.Background(), inside, wireguardLink)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("WireGuard on %s: %v\n%s", node.Name, err, said.String())
		}
	})
	if _, err := io.WriteString(input, config); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("WireGuard on %s says %q: %v", node.Name, line, err)
	}
	onNode(t, node, "ip", "link", "set", wireguardLink, "up")
}

// onNode runs a command on the node.
func onNode(t testing.TB, node *devcluster.Node, name string, args ...string) {
	t.Helper()
	if out, err := node.Command(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s on %s: %v\n%s", name, strings.Join(args, " "), node.Name, err, out)
	}
}
