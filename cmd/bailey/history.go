package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// historyFlags say where a server's history is.
type historyFlags struct {
	data, database string
	replace        bool
}

func (a *app) historyCommand() *cobra.Command {
	f := &historyFlags{}
	c := &cobra.Command{
		Use:   "history",
		Short: "Back up, restore and move what a server remembers",
		Long: `The history of bailey serve is findings, verdicts, evidence, runs, alerts, waivers and who
did what, of all its clusters, in SQLite in the data folder or in PostgreSQL.

  bailey history backup FILE     a copy, also while the server runs
  bailey history restore FILE    put a backup in the place of the history
  bailey history export FILE     all of it as lines of JSON, for any database
  bailey history import FILE     an export into a database that holds nothing

It is not all that a server has: a ledger, the signed evidence and its key (in the state
folder), and the data folder's token and certificate are files, to be copied as such.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command \"history %s\"\nhint: backup, restore, export and import are", args[0])
			}
			return c.Help()
		},
	}
	c.PersistentFlags().StringVar(&f.data, "data", "", "the server's data folder (default: server/ in the state folder)")
	c.PersistentFlags().StringVar(&f.database, "database", "", "the server's PostgreSQL: a file that holds its URL")
	c.AddCommand(a.historyBackupCommand(f), a.historyRestoreCommand(f), a.historyExportCommand(f), a.historyImportCommand(f))
	return c
}

// dataFolder is the folder that holds a server's history.
func dataFolder(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "server"), nil
}

// withHistory opens a history that is there, as it is: the server that uses it may be an older one.
func (f *historyFlags) withHistory(ctx context.Context, do func(s *store.Store) error) error {
	if f.database == "" {
		switch _, err := os.Stat(filepath.Join(f.data, sqlite.File)); {
		case errors.Is(err, fs.ErrNotExist):
			return usageError("there is no history in %s\nhint: --data names the data folder of bailey serve, and --database a file with the URL of its PostgreSQL", f.data)
		case err != nil:
			return err
		}
	}
	s, err := openStore(store.AsItIs(ctx), f.data, f.database)
	if err != nil {
		return f.hinted(err)
	}
	return f.hinted(errors.Join(do(s), s.Close()))
}

// hinted adds what to do next to an error of the history's.
func (f *historyFlags) hinted(err error) error {
	var coded *exitError
	switch {
	case err == nil, errors.As(err, &coded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, store.ErrDamaged):
		return ofDamage(err)
	case errors.Is(err, store.ErrNotFound) && f.database != "":
		return usageError("%w\nhint: --database names a file with the URL of the server's PostgreSQL", err)
	case errors.Is(err, store.ErrUnavailable) && f.database != "":
		return fmt.Errorf("%w\nhint: does PostgreSQL run, and does the URL in %s name it?", err, f.database)
	case errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("%w\nhint: run this as the user that the server runs as; is there room on the disk?", err)
	}
	return err
}

// ofDamage says what to do where a history is damaged.
func ofDamage(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("%w\nhint: bailey history restore FILE --replace puts a backup in its place", err)
	}
	return err
}

// The kinds of files that hold a history, by how they begin.
var (
	sqliteBegins = []byte("SQLite format 3\x00")
	exportBegins = []byte(`{"format":"bailey-history"`)
)

// historyBegins gives the beginning of a file that is to hold a history.
func historyBegins(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError("%w\nhint: name a file that bailey history has written", err)
	}
	defer f.Close()
	begin := make([]byte, len(exportBegins))
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, usageError("%w\nhint: name a file that bailey history has written", err)
	}
	return begin[:n], nil
}

func isExport(begin []byte) bool   { return bytes.HasPrefix(begin, exportBegins) }
func isDatabase(begin []byte) bool { return bytes.HasPrefix(begin, sqliteBegins) }

// progressEvery is how often what is told with every write is shown.
const progressEvery = 100 * time.Millisecond

// historyProgress shows on the terminal how many bytes of how many are done.
func (a *app) historyProgress(doing string) (tell func(done, total int64), end func()) {
	p := a.newProgress()
	var last time.Time
	return func(done, total int64) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		if total > 0 {
			p.step(int(min(done, total)>>20), int(total>>20), "MiB "+doing)
			return
		}
		p.say(fmt.Sprintf("%d MiB %s", done>>20, doing))
	}, p.end
}
