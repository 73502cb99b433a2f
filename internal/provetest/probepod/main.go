// Command probepod is `bailey probe` alone: what the probe pods of tests run,
// which need not wait until the whole program is built.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/baileyhq/bailey/prove/probe"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "probe" {
		fmt.Fprintln(os.Stderr, "usage: probepod probe TASK")
		os.Exit(2)
	}
	task, err := probe.Parse([]byte(os.Args[2]))
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = probe.Write("/dev/termination-log", probe.Do(ctx, task))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
