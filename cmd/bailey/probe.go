package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/prove/probe"
)

// probeCommand is what probe pods run. It is hidden: people have no use for it.
func (a *app) probeCommand() *cobra.Command {
	report := "/dev/termination-log"
	c := &cobra.Command{
		Use:    "probe TASK",
		Short:  "Do one harmless task of an experiment, and report it (run by probe pods)",
		Hidden: true,
		Args:   exactArgs(1, "a task, as JSON"),
		RunE: func(c *cobra.Command, args []string) error {
			task, err := probe.Parse([]byte(args[0]))
			if err != nil {
				return &exitError{exitUsage, err}
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			r := probe.Do(ctx, task)
			if err := probe.Write(report, r); err != nil {
				return fmt.Errorf("the report could not be written: %w", err)
			}
			fmt.Fprintln(a.stdout, printable(r.Message))
			return nil
		},
	}
	c.Flags().StringVar(&report, "report", report, "where the report is written")
	return c
}
