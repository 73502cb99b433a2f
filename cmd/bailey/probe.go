package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove/probe"
)

// probeCommand is what probe pods run. It is hidden: people have no use for it.
func (a *app) probeCommand() *cobra.Command {
	report, agent := "/dev/termination-log", ""
	c := &cobra.Command{
		Use:    "probe TASK...",
		Short:  "Do harmless tasks of an experiment, and report them (run by probe pods)",
		Hidden: true,
		Args:   cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			tasks := make([]*bailey.Task, len(args))
			for i, text := range args {
				task, err := probe.Parse([]byte(text))
				if err != nil {
					return &exitError{exitUsage, err}
				}
				tasks[i] = task
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			reports := probe.DoAll(probe.AsAgent(ctx, agent), tasks)
			if err := probe.Write(report, reports); err != nil {
				return fmt.Errorf("the report could not be written: %w", err)
			}
			for _, r := range reports {
				fmt.Fprintln(a.stdout, printable(r.Message))
			}
			return nil
		},
	}
	c.Flags().StringVar(&agent, "agent", "", "the User-Agent of requests over HTTP")
	c.Flags().StringVar(&report, "report", report, "where the report is written")
	return c
}
