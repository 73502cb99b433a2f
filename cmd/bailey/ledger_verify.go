package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/ledger"
)

func (a *app) ledgerVerifyCommand() *cobra.Command {
	var o ledger.VerifyOptions
	var since, format string
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check a ledger, or a copy of one, offline",
		Long: `Verify checks every entry against the tree, the tree against the signed checkpoint,
and large records and wrapped keys against the hashes in the log. It needs no
secret, no network, and no more memory for a large ledger than for a small one.

A whole ledger that was replaced by an older copy of itself is consistent. Only
who remembers a newer checkpoint can tell: give one with --since (a witness keeps
one for every log, in its folder), and the log's key with --key.

Exit codes: 0 intact, 1 damaged, 2 usage, 3 could not run.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError("verify has no output format %q: use text or json", format)
			}
			if since != "" {
				var err error
				if o.Since, err = os.ReadFile(since); err != nil {
					return fmt.Errorf("--since: %w", err)
				}
			}
			p := a.newProgress()
			o.Progress = func(done, total uint64) { p.step(int(done), int(total), "entries") }
			info, err := os.Stat(args[0])
			if err == nil && !info.IsDir() {
				err = fmt.Errorf("%s is no folder", args[0])
			}
			if err != nil {
				return err
			}
			report, err := ledger.Verify(c.Context(), os.DirFS(args[0]), o)
			p.end()
			if err != nil {
				return err
			}
			return a.printVerified(report, format, o.Key != "")
		},
	}
	c.Flags().StringVar(&o.Key, "key", "", "the log's public key, from elsewhere (default: the one in the folder)")
	c.Flags().StringArrayVar(&o.Witnesses, "witness", nil, "a witness's public key that must have cosigned (repeat)")
	c.Flags().IntVar(&o.Quorum, "quorum", 0, "how many of the witnesses (default: the majority)")
	c.Flags().StringVar(&since, "since", "", "a checkpoint file of this log that was seen before")
	c.Flags().BoolVar(&o.Partial, "partial", false, "accept an export of a part of the log")
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) printVerified(r ledger.Report, format string, keyGiven bool) error {
	if format == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			SchemaVersion string `json:"schemaVersion"`
			Intact        bool   `json:"intact"`
			ledger.Report
		}{"bailey.ledger.verify/v1", r.Intact(), r}); err != nil {
			return err
		}
	} else {
		a.printVerifiedText(r, keyGiven)
	}
	if !r.Intact() {
		return &exitError{code: exitFindings}
	}
	return nil
}

func (a *app) printVerifiedText(r ledger.Report, keyGiven bool) {
	for _, p := range r.Problems {
		fmt.Fprintf(a.stdout, "%s\n", printable(p.String()))
	}
	if r.MoreFaults > 0 {
		fmt.Fprintf(a.stdout, "and %d more\n", r.MoreFaults)
	}
	for rest := r.Notes; len(rest) > 0; {
		same := 1
		for same < len(rest) && rest[same].Text == rest[0].Text {
			same++
		}
		if fmt.Fprintf(a.stdout, "note: %s", printable(rest[0].String())); same > 1 {
			fmt.Fprintf(a.stdout, " (and %d more like it)", same-1)
		}
		fmt.Fprintln(a.stdout)
		rest = rest[same:]
	}
	if r.MoreNotes > 0 {
		fmt.Fprintf(a.stdout, "note: and %d more\n", r.MoreNotes)
	}
	if !r.Intact() {
		fmt.Fprintf(a.stdout, "DAMAGED: %s\n", plural(len(r.Problems)+r.MoreFaults, "problem"))
		return
	}
	what := fmt.Sprintf("%d records", r.Records)
	if r.To-r.From < r.Size {
		what = fmt.Sprintf("entries %d to %d of %d, with the bundles they are in, %d records; the rest is not here", r.From, r.To-1, r.Size, r.Records)
	}
	fmt.Fprintf(a.stdout, "intact: %s, %s", what, plural(r.Periods, "period"))
	if r.Shredded > 0 {
		fmt.Fprintf(a.stdout, " (%d shredded)", r.Shredded)
	}
	fmt.Fprintf(a.stdout, "\nsigned: %d entries, root %s, by %s\n", r.Size, r.Root, printable(r.Origin))
	for _, name := range slices.Sorted(maps.Keys(r.Cosigned)) {
		fmt.Fprintf(a.stdout, "cosigned: %s, by %s\n", r.Cosigned[name].Format(time.RFC3339), printable(name))
	}
	if !keyGiven {
		fmt.Fprintf(a.stdout, "The key came from the ledger itself. Give the one that you keep with --key.\n")
	}
}

func (a *app) ledgerExportCommand() *cobra.Command {
	var o ledger.ExportOptions
	c := &cobra.Command{
		Use:   "export DIR OUT",
		Short: "Copy a ledger, or a range of it, without the writer's keys",
		Long: `Export makes a folder that verifies by itself and that the recipients can read. A
range comes in whole bundles of 256 entries with the keys that it needs, and is
verified with --partial.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(filepath.Join(args[0], "ledger.json")); err != nil {
				return fmt.Errorf("%s is no ledger: %w", args[0], err)
			}
			err := ledger.Export(c.Context(), os.DirFS(args[0]), args[1], o)
			if err == nil {
				fmt.Fprintf(a.stderr, "Exported to %s.\n", printable(args[1]))
			}
			return err
		},
	}
	c.Flags().Uint64Var(&o.From, "from", 0, "the first index")
	c.Flags().Uint64Var(&o.To, "to", 0, "the index to stop before (default: the end of what is signed)")
	return c
}
