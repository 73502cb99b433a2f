package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// version is set at the build; see the Makefile.
var version = "dev"

// The exit codes that DESIGN promises.
const (
	exitOK       = 0
	exitFindings = 1
	exitUsage    = 2
	exitFailed   = 3
	exitNothing  = 4
)

// exitError is an error that ends the program with a code. One without a
// message has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// app is what the subcommands share: the streams, the clock, the global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time

	noColor bool
	offline bool
	quiet   bool
	width   int
}

// run executes one command line and gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return a.exit(ctx, err)
}

// exit says what went wrong, in one block that ends with what to do next.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	var coded *exitError
	code := exitFailed
	if errors.As(err, &coded) {
		code = coded.code
	}
	if ctx.Err() != nil && !errors.As(err, &coded) {
		err = errors.New("interrupted")
	}
	if text := strings.TrimSpace(err.Error()); text != "" {
		fmt.Fprintln(a.stderr, "bailey: "+printable(text))
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	name := "bailey"
	if strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl-") {
		name = "kubectl bailey"
	}
	root := &cobra.Command{
		Use:   "bailey",
		Short: "Check, enforce and prove cloud native security on Kubernetes",
		Long: `Bailey checks what is wrong on a Kubernetes platform, ranks it by what an
attacker could do with it, gives the fix, and says what it did not see.

  bailey scan                 judge the current cluster
  bailey scan ./manifests     judge a folder, chart, kustomization or file
  bailey review main..HEAD    say what a change of manifests does
  bailey explain CONTROL      what a control asks, why, and how to fix it

Exit codes: 0 nothing at or over --fail-on, 1 findings, 2 usage,
3 could not run, 4 nothing was scanned.`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Version:                    version,
		Annotations:                map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Args:                       cobra.ArbitraryArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.width < 0 || a.width > 0 && a.width < 40 {
				return usageError("--width wants 40 columns or more")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				hint := "bailey help lists them"
				if near := c.SuggestionsFor(args[0]); len(near) > 0 {
					hint = "did you mean " + near[0] + "?"
				}
				return usageError("there is no command %q\nhint: %s", args[0], hint)
			}
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError("%w\nhint: %s --help lists the flags", err, c.CommandPath())
	})
	root.SetVersionTemplate("bailey {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.noColor, "no-color", false, "print without colour (also: NO_COLOR=1, or a pipe)")
	flags.BoolVar(&a.offline, "offline", false, "open no socket but to the target")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress")
	flags.IntVar(&a.width, "width", 0, "columns of text output (default: the terminal's, or 80)")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.installCommand(), a.serveCommand(), a.hubCommand(), a.historyCommand(), a.upCommand(), a.downCommand(), a.scanCommand(), a.reviewCommand(), a.enforceCommand(), a.proveCommand(), a.detectCommand(), a.gateCommand(), a.evidenceCommand(), a.probeCommand(), a.explainCommand(),
		a.controlsCommand(), a.reportCommand(), a.baselineCommand(), a.snapshotCommand(), a.ledgerCommand(),
		a.signCommand(), a.attestCommand(), a.verifyCommand(),
	)
	return root
}

// printable keeps what a stranger's text could do to a terminal out of it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, text)
}
