// Command probe is what the tests' pods run: "serve PORT" answers each connection with
// its own name, "dial ADDRESS" prints what answers there, "api URL" prints the status
// of a request with the pod's own token, "wait" does nothing.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
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
	switch args[0] {
	case "serve":
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", ":"+args[1])
		if err != nil {
			return err
		}
		fmt.Println("serving as", os.Getuid())
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			fmt.Fprintln(conn, host)
			_ = conn.Close()
		}
	case "dial":
		conn, err := net.DialTimeout("tcp", args[1], time.Second)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, conn)
		return err
	case "api":
		const folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
		ca, err := os.ReadFile(folder + "ca.crt")
		if err != nil {
			return err
		}
		token, err := os.ReadFile(folder + "token")
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		req, err := http.NewRequest(http.MethodGet, args[1], nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+string(token))
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		fmt.Println(resp.StatusCode)
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	case "wait":
		time.Sleep(time.Hour)
		return nil
	}
	return fmt.Errorf("no such command: %q", args)
}
