package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/baileyhq/bailey/ledger"
)

func (a *app) ledgerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Keep records that nobody can change unseen",
		Long: `A ledger is a folder with a Merkle log: whoever has its public key can verify that
no record was changed, dropped or moved, and only the holders of an age identity
can read one.

  bailey ledger init DIR                 make one; prints its public key
  bailey ledger append DIR < records     add records, one JSON value a line
  bailey ledger read DIR                 print them
  bailey ledger verify DIR               check all of it, offline

docs/ledger.md says how it works and what it does not protect from.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.ledgerInitCommand(), a.ledgerAppendCommand(), a.ledgerReadCommand(), a.ledgerVerifyCommand(),
		a.ledgerExportCommand(), a.ledgerWitnessCommand(), a.ledgerPeriodsCommand(), a.ledgerRotateCommand(),
		a.ledgerConfigCommand(), a.ledgerShredCommand(), a.ledgerAuditCommand(),
	)
	return c
}

// oneFolder wants one argument, the ledger's folder.
func oneFolder(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("%s wants one argument, the ledger's folder; got %d\nhint: %s", c.CommandPath(), len(args), c.UseLine())
	}
	return nil
}

// quietLog takes the log of the library that keeps the tree off the terminal: what
// matters of it comes back as errors.
func quietLog() { klog.SetLogger(logr.Discard()) }

// withLedger opens a ledger for writing, and closes it once its checkpoint is signed.
func (a *app) withLedger(ctx context.Context, dir string, do func(l *ledger.Log) error) error {
	quietLog()
	l, err := ledger.Open(ctx, dir, ledger.Options{Now: a.now, Offline: a.offline})
	if err != nil {
		return err
	}
	err = do(l)
	// What was acknowledged is signed even if the user has lost patience.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	closeErr := l.Close(closing)
	for _, problem := range l.WitnessProblems() {
		fmt.Fprintf(a.stderr, "bailey: a witness did not cosign: %s\n", printable(problem))
	}
	return errors.Join(err, closeErr)
}

// witnessFlags name witnesses: KEY=URL.
type witnessFlags struct {
	list   []string
	quorum int
}

func (w *witnessFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&w.list, "witness", nil, "a witness that cosigns checkpoints, as KEY=URL (repeat)")
	c.Flags().IntVar(&w.quorum, "quorum", 0, "how many witnesses must cosign (default: the majority)")
}

func (w *witnessFlags) parse() ([]ledger.Witness, error) {
	var out []ledger.Witness
	for _, s := range w.list {
		// A key is base64 and may hold "=" itself; a URL begins with http.
		i := strings.LastIndex(s, "=http")
		if i < 0 {
			return nil, usageError("--witness %q is not KEY=URL\nhint: `bailey ledger witness` prints its key", s)
		}
		out = append(out, ledger.Witness{Key: s[:i], URL: s[i+1:]})
	}
	if w.quorum < 0 || w.quorum > len(out) {
		return nil, usageError("--quorum %d wants as many witnesses; there are %d", w.quorum, len(out))
	}
	return out, nil
}

func (w *witnessFlags) quorumOr() int {
	if w.quorum == 0 && len(w.list) > 0 {
		return len(w.list)/2 + 1
	}
	return w.quorum
}

func (a *app) ledgerInitCommand() *cobra.Command {
	var o ledger.InitOptions
	var w witnessFlags
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a ledger, and print its public key",
		Long: `Init makes a ledger in a folder that does not exist yet and prints the public key
with which anybody verifies it. Keep that key where the ledger is not.

Without --recipient a post-quantum age identity is made and kept in the folder;
move it away, for whoever has it reads every record.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			quietLog()
			var err error
			if o.Witnesses, err = w.parse(); err != nil {
				return err
			}
			o.Quorum = w.quorumOr()
			config, err := ledger.Init(c.Context(), args[0], o)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, config.Key)
			fmt.Fprintf(a.stderr, "Made the ledger %s in %s. Its public key is above: keep it elsewhere, to verify with --key.\n", printable(config.Origin), printable(args[0]))
			if len(o.Recipients) == 0 {
				fmt.Fprintf(a.stderr, "Its records are read with the age identity %s: move it away from here.\n", printable(filepath.Join(args[0], identityFile)))
			}
			return nil
		},
	}
	c.Flags().StringVar(&o.Origin, "origin", "", "the log's name, like example.org/audit (default: a random one)")
	c.Flags().StringArrayVarP(&o.Recipients, "recipient", "r", nil, "an age public key whose holder reads the records (repeat)")
	w.register(c)
	return c
}

func (a *app) ledgerPeriodsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "periods DIR",
		Short: "List the periods, each with a key of its own",
		Args:  oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withLedger(c.Context(), args[0], func(l *ledger.Log) error {
				periods, err := l.Periods(c.Context())
				for _, p := range periods {
					state := ""
					switch {
					case p.Shredded:
						state = "  shredded"
					case p.Current:
						state = "  current"
					}
					fmt.Fprintf(a.stdout, "%s  key at index %d%s\n", p.Name, p.Index, state)
				}
				return err
			})
		},
	}
}

func (a *app) ledgerRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate DIR",
		Short: "Begin a new period, with a new key, now",
		Long: `A period ends by itself with the UTC day. Rotate ends it now, and prints the name
of the new one.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withLedger(c.Context(), args[0], func(l *ledger.Log) error {
				name, err := l.Rotate(c.Context())
				if err == nil {
					fmt.Fprintln(a.stdout, name)
				}
				return err
			})
		},
	}
}

func (a *app) ledgerConfigCommand() *cobra.Command {
	var recipients []string
	var w witnessFlags
	c := &cobra.Command{
		Use:   "config DIR",
		Short: "Change who reads and who cosigns, and record the change in the log",
		Long: `Config changes what its flags name, begins a new period whose key the recipients
hold, and records that in the log. Earlier periods stay readable for their own
recipients. Without flags it prints the configuration.

Use it instead of an editor: a ledger.json that the log does not know of is
reported as damage.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			witnesses, err := w.parse()
			if err != nil {
				return err
			}
			changed := c.Flags().Changed
			if !changed("recipient") && !changed("witness") && !changed("quorum") {
				data, err := os.ReadFile(filepath.Join(args[0], "ledger.json"))
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s is no ledger: it has no ledger.json\nhint: bailey ledger init makes one", args[0])
				}
				if err == nil {
					_, err = a.stdout.Write(data)
				}
				return err
			}
			return a.withLedger(c.Context(), args[0], func(l *ledger.Log) error {
				now := l.Config()
				if changed("recipient") {
					now.Recipients = recipients
				}
				if changed("witness") || changed("quorum") {
					now.Witnesses, now.Quorum = witnesses, w.quorumOr()
				}
				return l.Reconfigure(c.Context(), now.Recipients, now.Witnesses, now.Quorum)
			})
		},
	}
	c.Flags().StringArrayVarP(&recipients, "recipient", "r", nil, "the age public keys that read from now on, in the place of all earlier ones (repeat)")
	w.register(c)
	return c
}

func (a *app) ledgerShredCommand() *cobra.Command {
	var before string
	c := &cobra.Command{
		Use:   "shred DIR [PERIOD]",
		Short: "Destroy the keys of periods, so that nobody reads their records again",
		Long: `Shred deletes the key of a period, or of all whose names begin with PERIOD (a day
is 20261125), and its large records. The log stays whole and verifies. Copies of
the key that somebody made, in a backup or an export, are beyond its reach.

--before ends what is older than a day: the retention that a log which cannot be
cut allows.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 2) == (before != "") {
				return usageError("shred wants a period or --before, one of them\nhint: `bailey ledger periods DIR` lists the periods")
			}
			var day time.Time
			if before != "" {
				var err error
				if day, err = time.Parse(time.DateOnly, before); err != nil {
					return usageError("--before %q is no day\nhint: write it as 2026-11-25; it begins at 00:00 UTC", before)
				}
			}
			return a.withLedger(c.Context(), args[0], func(l *ledger.Log) error {
				var done ledger.Shredded
				var err error
				if before != "" {
					done, err = l.ShredBefore(c.Context(), day)
				} else {
					done, err = l.Shred(c.Context(), args[1])
				}
				if err == nil && len(done.Periods) == 0 && !a.quiet {
					fmt.Fprintln(a.stderr, "Nothing is due.")
				}
				for _, p := range done.Periods {
					fmt.Fprintf(a.stdout, "shredded %s\n", p)
				}
				if done.Bodies > 0 {
					fmt.Fprintf(a.stdout, "deleted %d large records\n", done.Bodies)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&before, "before", "", "shred the periods that ended before this day, like 2026-11-25")
	return c
}
