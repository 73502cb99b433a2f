package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

func (a *app) historyBackupCommand(f *historyFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a server's history to a file, while the server runs or not",
		Long: `Backup writes the history as it is at one moment: of SQLite a database, of PostgreSQL what
export writes. It is safe while the server runs and writes, which it does not keep from it,
and leaves tables of an older Bailey as they are.

The file (mode 0600) is whole or not there. Whoever reads it reads all that the server
remembers.`,
		Example: `  bailey history backup history-$(date +%F).db --data /var/lib/bailey
  bailey history backup history.jsonl --database url`,
		Args: exactArgs(1, "the file to write"),
		RunE: func(c *cobra.Command, args []string) error { return a.historyBackup(c.Context(), f, args[0]) },
	}
	c.Flags().BoolVar(&f.replace, "replace", false, "write over a file that is there")
	return c
}

func (a *app) historyBackup(ctx context.Context, f *historyFlags, path string) (err error) {
	if f.data, err = dataFolder(f.data); err != nil {
		return err
	}
	if err := f.mayWrite(path); err != nil {
		return err
	}
	return f.withHistory(ctx, func(s *store.Store) error {
		version, _, err := s.Version(ctx)
		if err != nil {
			return err
		}
		tell, end := a.historyProgress("copied")
		err = s.Backup(store.WithProgress(ctx, tell), path)
		end()
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		where := "--data " + printable(f.data)
		if f.database != "" {
			where = "--database " + printable(f.database)
		}
		fmt.Fprintf(a.stdout, "%s: %d KiB, tables of version %d. Restore it with: bailey history restore %[1]s %[4]s\n", printable(path), (info.Size()+1023)/1024, version, where)
		return nil
	})
}

// mayWrite refuses to write over a file that is there, and in any case over the history itself.
func (f *historyFlags) mayWrite(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return usageError("%w", err)
	case info.IsDir():
		return usageError("%s is a folder\nhint: name a file in it", path)
	}
	if f.database == "" {
		files, err := filepath.Glob(filepath.Join(f.data, sqlite.File+"*"))
		if err != nil {
			return err
		}
		for _, own := range files {
			if there, err := os.Stat(own); err == nil && os.SameFile(info, there) {
				return usageError("%s is the history itself\nhint: name another file", path)
			}
		}
	}
	if !f.replace {
		return usageError("%s is there\nhint: name another file, or write over it with --replace", path)
	}
	return nil
}

func (a *app) historyRestoreCommand(f *historyFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of a server's history",
		Long: `Restore checks what backup wrote, whole, and makes it the history of a folder, or of a
PostgreSQL database that holds nothing. End the server first: while a process has the
history open it is refused.

A history that is there stays, unless --replace is given: then it is kept beside, under
another name, also if it is damaged.

What was taken back since the backup counts again: look at the waivers, and at the tokens of
spokes (bailey hub list), and revoke or make anew what is not to count.`,
		Example: `  bailey history restore history-2026-11-27.db --data /var/lib/bailey --replace
  bailey history restore history.jsonl --database url-of-an-empty-database`,
		Args: exactArgs(1, "the file of a backup"),
		RunE: func(c *cobra.Command, args []string) error { return a.historyRestore(c.Context(), f, args[0]) },
	}
	c.Flags().BoolVar(&f.replace, "replace", false, "put it in the place of a history that is there, which is kept beside (SQLite)")
	return c
}

func (a *app) historyRestore(ctx context.Context, f *historyFlags, path string) (err error) {
	if f.data, err = dataFolder(f.data); err != nil {
		return err
	}
	begin, err := historyBegins(path)
	if err != nil {
		return err
	}
	switch {
	case f.database != "" && f.replace:
		return usageError("--replace is for SQLite in a folder: nothing in PostgreSQL is written over\nhint: make another database (createdb), and name that")
	case f.database != "" && isDatabase(begin):
		return usageError("%s is a database of SQLite, and --database names a PostgreSQL\nhint: restore it into a folder with --data, then bailey history export and import", path)
	case f.database != "":
		return a.historyImport(ctx, f, path)
	case isExport(begin):
		return usageError("%s is an export, or a backup of PostgreSQL\nhint: bailey history import reads it into a folder that holds no history", path)
	}
	tell, end := a.historyProgress("copied; then the whole is checked")
	aside, err := sqlite.Restore(store.WithProgress(ctx, tell), path, f.data, f.replace)
	end()
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return usageError("%w\nhint: end that server first; bailey history backup makes a copy while it runs", err)
	case errors.Is(err, fs.ErrExist):
		return usageError("%w\nhint: --replace restores over it, and keeps it beside under another name", err)
	case err != nil:
		return err
	}
	if aside != "" {
		fmt.Fprintf(a.stdout, "The history that was there is kept as %s.\n", printable(aside))
	}
	fmt.Fprintf(a.stdout, "Restored %s into %s.\n", printable(path), printable(f.data))
	return nil
}
