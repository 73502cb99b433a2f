package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/saved"
)

func (a *app) snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Save what was seen, show it, compare it",
		Long:  "A snapshot is one file with every fact that a scan reads and what was not seen.\nIt holds no secret value, and every command takes it as a target.",
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command \"snapshot %s\"\nhint: save, show and diff are", args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(a.snapshotSaveCommand(), a.snapshotShowCommand(), a.snapshotDiffCommand())
	return c
}

func (a *app) snapshotSaveCommand() *cobra.Command {
	var t targetFlags
	var path string
	c := &cobra.Command{
		Use:   "save [TARGET...]",
		Short: "Save a snapshot of a cluster or of files",
		Long:  "Save reads the targets and writes what was seen to one compressed file." + targetHelp,
		RunE: func(c *cobra.Command, targets []string) error {
			s, err := a.snapshot(c.Context(), &t, targets)
			if err != nil {
				return err
			}
			if err := saved.WriteFile(path, s); err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s: %d objects, %d KiB. Judge it with: bailey scan %s\n", path, s.Len(), (info.Size()+1023)/1024, path)
			return nil
		},
	}
	t.register(c)
	t.images.register(c)
	c.Flags().StringVarP(&path, "output", "o", "bailey-snapshot.zst", "the file to write")
	return c
}

func (a *app) snapshotShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show what a snapshot holds and what it lacks",
		Args:  exactArgs(1, "the file of a snapshot"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := saved.ReadFile(args[0])
			if err != nil {
				return err
			}
			m := s.Meta
			w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintf(w, "taken\t%s\n", m.At.UTC().Format("2006-01-02 15:04:05 UTC"))
			fmt.Fprintf(w, "from\t%s %s\n", m.Medium, printable(m.Context))
			if m.ClusterUID != "" {
				fmt.Fprintf(w, "cluster\t%s\n", printable(m.ClusterUID))
			}
			assumed := ""
			if m.AssumedVersion {
				assumed = " (assumed)"
			}
			fmt.Fprintf(w, "Kubernetes\t%s%s\n", m.Version, assumed)
			fmt.Fprintf(w, "objects\t%d\n\n", s.Len())
			for _, k := range s.Kinds() {
				fmt.Fprintf(w, "%s\t%d\n", printable(string(k)), len(s.List(k, "")))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			_, missing := s.Coverage()
			return a.printMissing(missing)
		},
	}
}

func (a *app) snapshotDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which objects were added, removed and changed",
		Args:  exactArgs(2, "two snapshots"),
		RunE: func(c *cobra.Command, args []string) error {
			old, err := saved.ReadFile(args[0])
			if err != nil {
				return err
			}
			next, err := saved.ReadFile(args[1])
			if err != nil {
				return err
			}
			return a.printChanges(saved.Diff(old, next))
		},
	}
}

// printMissing shows what was not seen, a paragraph for each reason.
func (a *app) printMissing(missing []bailey.Missing) error {
	w := &wrapper{out: a.stdout, width: a.columns(a.stdout)}
	byReason := map[bailey.Reason][]string{}
	for _, m := range missing {
		place := m.Kind.Short()
		if where := strings.Trim(m.Namespace+"/"+m.Name, "/"); where != "" {
			place += " " + where
		}
		if m.Reason == bailey.ReasonUnreadable && m.Detail != "" {
			place += " (" + m.Detail + ")"
		}
		byReason[m.Reason] = append(byReason[m.Reason], printable(place))
	}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		w.line("")
		w.text("  ", fmt.Sprintf("Not seen (%s): %s", reason, strings.Join(byReason[reason], ", ")))
	}
	return w.err
}
