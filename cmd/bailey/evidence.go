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
		Long: `Evidence is kept as in-toto statements in DSSE envelopes, one file for each
experiment and scope, in the state folder of its cluster.`,
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
		Example: "  bailey evidence verify --key evidence.pub *.dsse.json\n" +
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
		s, err := prove.LoadFile(ctx, file, trusted)
		if err != nil {
			if !errors.Is(err, prove.ErrUntrusted) && errors.Is(err, os.ErrNotExist) {
				return usageError("%w", err)
			}
			bad++
			fmt.Fprintf(a.stdout, "BAD   %s\n", printable(err.Error()))
			continue
		}
		p := s.Predicate
		fmt.Fprintf(a.stdout, "good  %s\n      %s: %s %s, %s, %s, signed by %.16s\n", printable(file), p.Verdict, printable(p.Evidence.Control),
			printable(p.Evidence.Experiment), printable(p.Evidence.Scope.String()), p.End.Format(time.RFC3339), p.Evidence.Signer)
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
			if len(keys) == 0 { // the key beside the folder that it lies in
				if trusted, err = readPublicKeys([]string{filepath.Join(filepath.Dir(args[0]), "..", "evidence.pub")}); err != nil {
					return usageError("no key to verify it with\nhint: --key FILE names the signer's public key")
				}
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

func (a *app) evidenceListCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the evidence of every cluster in the state folder",
		Args:  exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
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
				kept, err := prove.Load(c.Context(), folder, trusted, time.Time{})
				if err != nil {
					return err
				}
				for _, k := range kept {
					count++
					if k.Err != nil {
						fmt.Fprintf(w, "BAD\t\t\t%s\n", printable(k.Err.Error()))
						continue
					}
					e := k.Statement.Predicate.Evidence
					fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\n", k.Statement.Predicate.Verdict, e.At.Format(time.RFC3339), e.Control, e.Experiment, printable(e.Scope.String()), k.Path)
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
	c.Flags().StringVar(&path, "config", "", "the configuration (default: bailey.yaml, looked for upwards)")
	return c
}
