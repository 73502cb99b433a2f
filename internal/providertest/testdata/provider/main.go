// The provider of zitadel/oidc's example, on loopback: a real OpenID Provider for tests.
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// main takes redirect URIs, says its issuer, and serves until standard input ends.
func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := fmt.Sprintf("http://localhost:%d/", l.Addr().(*net.TCPAddr).Port)
	storage.RegisterClients(storage.WebClient("bailey", "secret", os.Args[1:]...))
	handler := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false)
	fmt.Println(issuer)
	go func() { log.Fatal(http.Serve(l, handler)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
