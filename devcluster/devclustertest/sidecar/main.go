// Sidecar stands in for the proxy that a service mesh puts into pods, and for an
// application behind one.
//
//	sidecar app ADDRESS                 serves HTTP in plain text
//	sidecar strict ADDRESS APP          passes on mutual TLS only
//	sidecar permissive ADDRESS APP      passes on plain text too
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "app" {
		return http.ListenAndServe(args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}))
	}
	if len(args) != 3 || args[0] != "strict" && args[0] != "permissive" {
		return errors.New("usage: sidecar app ADDRESS | sidecar strict|permissive ADDRESS APP")
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert,
		NextProtos: []string{"istio-http/1.1", "istio"}}
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			pass(c, config, args[0] == "strict", args[2])
		}()
	}
}

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// pass hands the connection to the application, if it may.
func pass(c net.Conn, config *tls.Config, strict bool, app string) {
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	var client net.Conn = peeked{c, r}
	const handshake = 0x16 // a TLS record of that type (RFC 8446, section 5.1)
	switch {
	case first[0] == handshake:
		secure := tls.Server(client, config)
		if secure.Handshake() != nil {
			return
		}
		client = secure
	case strict:
		return
	}
	server, err := net.Dial("tcp", app)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(server, client)
	io.Copy(client, server)
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
