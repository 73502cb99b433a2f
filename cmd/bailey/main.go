// Command bailey checks, enforces and proves the controls of cloud native
// security on a Kubernetes platform. Installed as kubectl-bailey it is also
// the kubectl plugin "kubectl bailey".
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signalGrace is how long further signals are taken for the first one: timeout(1)
// and process groups deliver one twice.
const signalGrace = time.Second

func main() {
	tuneGC()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // libraries log what they return as errors too; our own loggers are passed
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		time.Sleep(signalGrace)
		stop() // from here on a signal ends the program at once
	})
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
