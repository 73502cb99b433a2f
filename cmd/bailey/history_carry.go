package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/store"
)

// standardStream stands for standard output, or input, in the place of a file.
const standardStream = "-"

func (a *app) historyExportCommand(f *historyFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write a server's history as lines of JSON, which every database reads",
		Long: `Export writes all of the history as it is at one moment, also while the server runs: a
header, a line for each row, and a checksum. FILE is whole or not there, mode 0600; - is
standard output.

By export and import a history moves from SQLite to PostgreSQL, and back.`,
		Example: `  bailey history export history.jsonl --data /var/lib/bailey
  bailey history export - --data /var/lib/bailey | bailey history import - --database url`,
		Args: exactArgs(1, "the file to write, or -"),
		RunE: func(c *cobra.Command, args []string) error { return a.historyExport(c.Context(), f, args[0]) },
	}
	c.Flags().BoolVar(&f.replace, "replace", false, "write over a file that is there")
	return c
}

func (a *app) historyExport(ctx context.Context, f *historyFlags, path string) (err error) {
	if f.data, err = dataFolder(f.data); err != nil {
		return err
	}
	if path != standardStream {
		if err := f.mayWrite(path); err != nil {
			return err
		}
	}
	return f.withHistory(ctx, func(s *store.Store) error {
		tell, end := a.historyProgress("written")
		defer end()
		if path == standardStream {
			return s.Export(ctx, &store.Told{Writer: a.stdout, Tell: tell})
		}
		if err := s.ExportFile(store.WithProgress(ctx, tell), path); err != nil {
			return err
		}
		end()
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s: %d KiB. Import it with: bailey history import %[1]s --data DIR, or --database FILE\n", printable(path), (info.Size()+1023)/1024)
		return nil
	})
}

func (a *app) historyImportCommand(f *historyFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Read an export into a database that holds nothing",
		Long: `Import reads what export wrote, all of it or nothing, into a folder or a PostgreSQL that
holds no history yet. FILE may be -, standard input. What the export was made of stays as it is.`,
		Example: `  bailey history import history.jsonl --database url`,
		Args:    exactArgs(1, "the file of an export, or -"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if f.data, err = dataFolder(f.data); err != nil {
				return err
			}
			return a.historyImport(c.Context(), f, args[0])
		},
	}
}

func (a *app) historyImport(ctx context.Context, f *historyFlags, path string) (err error) {
	in, size := a.stdin, int64(0)
	if path != standardStream {
		begin, err := historyBegins(path)
		switch {
		case err != nil:
			return err
		case isDatabase(begin):
			return usageError("%s is a database of SQLite\nhint: bailey history restore takes a backup of one", path)
		case !isExport(begin):
			return usageError("%s is no export of a history\nhint: name a file that bailey history export has written", path)
		}
		file, err := os.Open(path)
		if err != nil {
			return usageError("%w", err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		in, size = file, info.Size()
	}
	if err := f.holdsNothing(ctx); err != nil {
		return err
	}
	tell, end := a.historyProgress("read")
	defer end()
	s, err := openStore(ctx, f.data, f.database)
	if err != nil {
		return f.hinted(err)
	}
	err = s.Import(ctx, io.TeeReader(in, &store.Told{Writer: io.Discard, Total: size, Tell: tell}))
	if err = errors.Join(err, s.Close()); errors.Is(err, store.ErrConflict) {
		return usageError("%w\nhint: name a folder, or a database, that holds no history", err)
	}
	if err != nil {
		return f.hinted(err)
	}
	end()
	where := printable(f.data)
	if f.database != "" {
		where = "the database that " + printable(f.database) + " names"
	}
	fmt.Fprintf(a.stdout, "Imported %s into %s.\n", printable(path), where)
	return nil
}

// holdsNothing refuses a history that holds something before its tables are brought to this version: the
// server that uses it may be an older one.
func (f *historyFlags) holdsNothing(ctx context.Context) error {
	s, err := openStore(store.AsItIs(ctx), f.data, f.database)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return f.hinted(err)
	}
	clusters, err := s.Clusters(ctx)
	if err = errors.Join(err, s.Close()); err != nil {
		return f.hinted(err)
	}
	if len(clusters) > 0 {
		return usageError("a history of %s is there\nhint: name a folder, or a database, that holds no history", plural(len(clusters), "cluster"))
	}
	return nil
}
