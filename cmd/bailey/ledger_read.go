package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/ledger"
)

// identityFile is where init keeps the identity that it made, below the ledger's folder.
const identityFile = "private/identity"

func (a *app) ledgerReadCommand() *cobra.Command {
	var o ledger.ReadOptions
	var identities []string
	c := &cobra.Command{
		Use:   "read DIR",
		Short: "Print the records, one JSON object a line",
		Long: `Read prints each record with its index, its period, the time at which it was
appended, its ID and its data. Each is checked against the signed tree first. Of
a period whose key was destroyed it prints {"index":7,"period":"...","shredded":true}.

The identity that init kept in the folder is used where no other is named.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.Identities, err = readIdentities(args[0], identities); err != nil {
				return err
			}
			return a.ledgerRead(c.Context(), args[0], o)
		},
	}
	c.Flags().StringArrayVarP(&identities, "identity", "i", nil, "a file with age identities (repeat)")
	c.Flags().Uint64Var(&o.From, "from", 0, "the first index to print")
	c.Flags().Uint64Var(&o.To, "to", 0, "the index to stop before (default: the end)")
	c.Flags().StringVar(&o.Key, "key", "", "the log's public key (default: the one in the folder)")
	return c
}

func readIdentities(dir string, files []string) ([]age.Identity, error) {
	if len(files) == 0 {
		kept := filepath.Join(dir, identityFile)
		if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
			return nil, usageError("reading wants an age identity\nhint: name the file that holds it with --identity FILE")
		}
		files = []string{kept}
	}
	var all []age.Identity
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		list, err := age.ParseIdentities(io.LimitReader(f, 1<<20))
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w\nhint: it should hold lines that begin with AGE-SECRET-KEY-, as age-keygen writes them", name, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// readRecord is a record as `ledger read` prints it.
type readRecord struct {
	Index    uint64          `json:"index"`
	Period   string          `json:"period"`
	Time     string          `json:"time,omitempty"`
	ID       string          `json:"id,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Shredded bool            `json:"shredded,omitempty"`
}

func (a *app) ledgerRead(ctx context.Context, dir string, o ledger.ReadOptions) error {
	if _, err := os.Stat(filepath.Join(dir, "ledger.json")); err != nil {
		return fmt.Errorf("%s is no ledger that can be read: %w\nhint: name the folder that bailey ledger init made", dir, err)
	}
	out := bufio.NewWriter(a.stdout)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for r, err := range ledger.Read(ctx, os.DirFS(dir), o) {
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		line := readRecord{Index: r.Index, Period: r.Period, ID: r.ID, Data: r.Data, Shredded: r.Shredded}
		if !r.Shredded {
			line.Time = r.Time.Format(time.RFC3339Nano)
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return out.Flush()
}
