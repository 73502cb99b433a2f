//go:build unix

// Command with-cluster runs a command while a control plane of its own is up:
//
//	go run ./devcluster/cmd/with-cluster -- go test ./...
//
// It builds the control plane program if that is not there, starts one cluster, and
// gives the command BAILEY_TEST_KUBECONFIG, BAILEY_TEST_STATE and
// BAILEY_CONTROLPLANE. When the command ends it stops the cluster, leaves nothing,
// and exits with the command's code. It exits with 2 on wrong usage and 3 when the
// cluster could not be run.
//
// SIGINT, SIGTERM and SIGHUP are passed on to the command and its children, which then
// have 20 seconds; a second signal ends them at once. (`go run` itself turns every exit
// code but 0 into 1.)
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

const (
	exitUsage   = 2
	exitFailure = 3

	graceLimit = 20 * time.Second // for the command, after a signal
	stopLimit  = 30 * time.Second // for the cluster
)

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(run(os.Args[1:], signals, os.Stdout, os.Stderr))
}

func run(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(stderr, "usage: with-cluster -- COMMAND [ARGUMENT...]")
		return exitUsage
	}
	// A signal during the build or the start ends those.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan struct{})
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		select {
		case s := <-signals:
			fmt.Fprintf(stderr, "with-cluster: %v\n", s)
			cancel()
		case <-started:
		}
	}()
	cluster, err := start(ctx, stderr)
	close(started)
	<-listened
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	code := exitFailure
	if ctx.Err() == nil {
		code = command(args, cluster, signals, stdout, stderr)
	}
	stop, cancelStop := context.WithTimeout(context.Background(), stopLimit)
	defer cancelStop()
	if err := cluster.Stop(stop); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return code
}

func start(ctx context.Context, log io.Writer) (*devcluster.Cluster, error) {
	binary, err := devcluster.FindOrBuild(ctx, devcluster.BinaryOptions{Log: log})
	if err != nil {
		return nil, err
	}
	return devcluster.Start(ctx, devcluster.Options{Binary: binary, Log: log})
}

// command runs the command in a process group of its own and returns its exit code.
func command(args []string, cluster *devcluster.Cluster, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(),
		devclustertest.KubeconfigVariable+"="+cluster.Kubeconfig,
		devclustertest.StateVariable+"="+cluster.Dir,
		devcluster.BinaryVariable+"="+cluster.Binary)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	// A terminal would stop a command that reads from it outside its foreground group.
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice == 0 {
		cmd.Stdin = os.Stdin
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(stderr, "with-cluster: %v\n", err)
		return exitFailure
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var limit <-chan time.Time
	group := func(s syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, s) } // it may have ended
	for {
		select {
		case err := <-ended:
			return exitCode(cmd, err, stderr)
		case s := <-signals:
			if limit != nil {
				group(syscall.SIGKILL)
				continue
			}
			fmt.Fprintf(stderr, "with-cluster: %v; the command has %s\n", s, graceLimit)
			limit = time.After(graceLimit)
			if s, ok := s.(syscall.Signal); ok {
				group(s)
			}
		case <-limit:
			group(syscall.SIGKILL)
		}
	}
}

func exitCode(cmd *exec.Cmd, err error, stderr io.Writer) int {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(stderr, "with-cluster: %v\n", err)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}
