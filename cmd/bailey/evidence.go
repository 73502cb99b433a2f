package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/prove"
)

// evidenceHorizon is how far back evidence is read: no window is longer.
const evidenceHorizon = 400 * 24 * time.Hour

func (a *app) evidenceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "evidence",
		Short: "List, show and verify what was proven",
		Long: `Evidence is kept as in-toto statements in DSSE envelopes, one for each experiment,
scope and run, in the state folder of its cluster, each with a signed summary
beside it, which is what scans read. What no verdict rests on any more is in
evidence/archive, compressed: every command here reads that too.`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.evidenceVerifyCommand(), a.evidenceShowCommand(), a.evidenceListCommand())
	return c
}

func (a *app) evidenceVerifyCommand() *cobra.Command {
	var keys []string
	c := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Verify evidence, offline, with nothing but its signer's public key",
		Long: `Verify checks the signature of each file. Of a whole with a summary beside it, and
of a summary, it checks too that the two agree; the whole of a summary must be there.`,
		Example: "  bailey evidence verify --key evidence.pub *.dsse.json archive/*/*.dsse.json.gz\n" +
			"  docs/verify-without-us.md shows the same with other tools",
		RunE: func(c *cobra.Command, files []string) error {
			if len(files) == 0 || len(keys) == 0 {
				return usageError("evidence verify wants files and --key FILE\nhint: the signer's public key is evidence.pub in its state folder")
			}
			trusted, err := readPublicKeys(keys)
			if err != nil {
				return err
			}
			return a.verifyEvidence(c.Context(), files, trusted)
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "a public key that is trusted (PEM), several times")
	return c
}

func (a *app) verifyEvidence(ctx context.Context, files []string, trusted []ed25519.PublicKey) error {
	bad := 0
	for _, file := range files {
		s, err := prove.Verify(ctx, file, trusted)
		if err != nil {
			if _, missing := os.Stat(file); missing != nil && !errors.Is(err, prove.ErrUntrusted) && errors.Is(err, os.ErrNotExist) {
				return usageError("%w", err)
			}
			bad++
			fmt.Fprintf(a.stdout, "BAD   %s\n", printable(err.Error()))
			continue
		}
		e := &s.Evidence
		fmt.Fprintf(a.stdout, "good  %s\n      %s: %s %s, %s, %s, signed by %.16s\n", printable(file), s.Verdict, printable(e.Control),
			printable(e.Experiment), printable(e.Scope.String()), s.End.Format(time.RFC3339), e.Signer)
	}
	if bad > 0 {
		return &exitError{exitFindings, fmt.Errorf("%d of %d do not verify", bad, len(files))}
	}
	return nil
}

func (a *app) evidenceShowCommand() *cobra.Command {
	var keys []string
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the statement of a piece of evidence, once it verifies",
		Args:  exactArgs(1, "a piece of evidence"),
		RunE: func(c *cobra.Command, args []string) error {
			trusted, err := readPublicKeys(keys)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				own, err := keyBeside(args[0])
				if err != nil {
					return err
				}
				if trusted, err = readPublicKeys([]string{own}); err != nil {
					return err
				}
			}
			if prove.IsSummary(args[0]) {
				return usageError("%s is a summary\nhint: show its whole, the file of the same name that ends in .dsse.json", args[0])
			}
			s, err := prove.LoadFile(c.Context(), args[0], trusted)
			if err != nil {
				return &exitError{exitFindings, err}
			}
			e := json.NewEncoder(a.stdout)
			e.SetIndent("", "  ")
			return e.Encode(s)
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "a public key that is trusted (PEM); default: evidence.pub beside the folder")
	return c
}

// keyBeside is the public key of the state folder that a piece of evidence lies in.
func keyBeside(path string) (string, error) {
	for _, up := range []string{"..", filepath.Join("..", "..", "..")} { // evidence/, evidence/archive/2026-11/
		key := filepath.Join(filepath.Dir(path), up, "evidence.pub")
		if _, err := os.Stat(key); err == nil {
			return key, nil
		}
	}
	return "", usageError("no key to verify it with\nhint: --key FILE names the signer's public key")
}

func (a *app) evidenceListCommand() *cobra.Command {
	var path string
	var from remoteFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the evidence of every cluster in the state folder",
		Long: `List names what is kept in the state folder, once it verifies. With --server it
names what the server's verdicts rest on: the server verified it, and nothing of it
is verified here.`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			named := ""
			if path != "" {
				named = "--config"
			}
			if remote, err := from.on(named); err != nil {
				return err
			} else if remote {
				return a.listRemoteEvidence(c.Context(), &from)
			}
			home, err := stateHome()
			if err != nil {
				return err
			}
			conf, err := loadConfig(path)
			if err != nil {
				return err
			}
			folders, err := filepath.Glob(filepath.Join(home, "*", "evidence"))
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
			count := 0
			for _, folder := range folders {
				trusted, err := conf.trusted(filepath.Dir(folder))
				if err != nil {
					return err
				}
				kept, err := prove.Load(c.Context(), folder, trusted, prove.Reading{Archived: true})
				if err != nil {
					return err
				}
				for _, k := range kept {
					count++
					if bad := errors.Join(k.Err, k.Doubt); bad != nil {
						fmt.Fprintf(w, "BAD\t\t\t%s\n", printable(bad.Error()))
						continue
					}
					e := &k.Summary.Evidence
					fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\n", k.Summary.Verdict, e.At.Format(time.RFC3339), e.Control, e.Experiment, printable(e.Scope.String()), k.Path)
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if count == 0 {
				return &exitError{exitNothing, errors.New("there is no evidence yet\nhint: `bailey prove` makes it")}
			}
			return nil
		},
	}
	from.register(c)
	c.Flags().StringVar(&path, "config", "", "the configuration (default: bailey.yaml, looked for upwards)")
	return c
}
