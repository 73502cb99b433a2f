package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/server"
)

// ledgerFolder is where the ledger lies that up keeps, below the data folder.
const ledgerFolder = "ledger"

// bookFlags say which ledger is kept.
type bookFlags struct {
	dir        string
	recipients []string // of one that is made
	own        bool     // one in the data folder, where no other is named
}

func (f *bookFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "ledger", "", "folder of a ledger that takes every piece of evidence; made if it is not there (default: the configuration's; of up, ledger/ in the data folder)")
	c.Flags().StringArrayVar(&f.recipients, "ledger-recipient", nil, "age public key whose holder reads the records, for a ledger that is made (repeat; default: a key that is made, and kept in the ledger's folder)")
}

// openBook opens the ledger that is kept, and makes it where there is none. It leaves s.book
// nil where none is.
func (s *serving) openBook(ctx context.Context) error {
	dir := s.flags.book.dir
	switch {
	case dir != "":
	case s.conf.Ledger != "":
		dir = s.conf.relative(s.conf.Ledger)
	case s.flags.book.own:
		dir = filepath.Join(s.flags.data, ledgerFolder)
	default:
		return nil
	}
	quietLog()
	if err := s.makeLedger(ctx, dir); err != nil {
		return err
	}
	identities, err := keptIdentity(dir)
	if err != nil {
		return err
	}
	s.book, err = server.OpenBook(server.BookOptions{Dir: dir, Identities: identities, Log: s.log, Now: s.app.now, Offline: s.app.offline})
	if err == nil && !s.flags.replicate {
		if err = s.book.Begin(ctx); !errors.Is(err, ledger.ErrLocked) {
			err = ctx.Err() // keepBook waits for a disk
		}
	}
	if err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	return nil
}

// restBook lets another process write the ledger, once what was recorded is signed.
func (s *serving) restBook() {
	if s.book == nil {
		return
	}
	if err := s.book.Rest(); err != nil {
		s.log.Error("the ledger was not closed in order", "error", err)
	}
}

func (s *serving) closeBook() {
	if s.book == nil {
		return
	}
	if err := s.book.Close(); err != nil {
		s.log.Error("the ledger was not closed in order", "error", err)
	}
}

// makeLedger makes a ledger in a folder that is empty or not there. One that has lost files
// is not made anew.
func (s *serving) makeLedger(ctx context.Context, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageError("--ledger: %w", err)
	}
	if len(files) > 0 {
		for _, name := range []string{"ledger.json", "private"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return nil
			}
		}
		return usageError("--ledger: %s holds other files\nhint: name a ledger, or a folder that does not exist", dir)
	}
	made, err := ledger.Init(ctx, dir, ledger.InitOptions{Recipients: s.flags.book.recipients})
	if err != nil {
		if _, there := os.Stat(filepath.Join(dir, "ledger.json")); s.flags.replicate && there == nil {
			return nil // another replica has made it meanwhile
		}
		return fmt.Errorf("--ledger: %w", err)
	}
	fmt.Fprintf(s.app.stderr, "Made a ledger in %s. Keep its public key elsewhere, to verify it by:\n  %s\n", printable(dir), made.Key)
	return nil
}

// keptIdentity gives the identity that was made with a ledger, if it still lies there.
func keptIdentity(dir string) ([]age.Identity, error) {
	path := filepath.Join(dir, identityFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return readIdentities(dir, []string{path})
}

// showBook shows how the ledger is, where it is said how current everything is, and in the metrics.
func (s *serving) showBook() {
	s.metrics.Registry.MustRegister(s.book)
	sight := s.sight
	s.sight = func() server.Sight {
		now, state := sight(), s.book.State()
		now.Ledger = &state
		return now
	}
}

// keepBook verifies the ledger, records what was proven while it was not open, and then lets
// runs record what they prove. It has one writer: of replicas the one that leads.
func (s *serving) keepBook(ctx context.Context) error {
	if s.book == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := s.book.Await(ctx); err != nil {
		return err
	}
	s.book.Verify(ctx)
	if s.flags.path != "" {
		<-ctx.Done()
		return ctx.Err()
	}
	kept, err := s.app.kept(ctx, s.conf, s.loop.Cluster(), s.app.now())
	if err != nil {
		s.log.Error("the evidence could not be read; what is not in the ledger is looked for again after the next run", "error", err)
	} else if s.record(ctx, kept) {
		s.loop.Refresh(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}

// record records what the ledger does not hold of these pieces of evidence, and reports
// whether it became known where one is.
func (s *serving) record(ctx context.Context, kept []prove.Kept) bool {
	if s.book == nil {
		return false
	}
	state, err := clusterState(s.loop.Cluster())
	if err != nil {
		return false
	}
	trusted, err := s.conf.trusted(state)
	if err != nil {
		s.log.Error("no evidence is recorded in the ledger", "error", err)
		return false
	}
	pieces := make([]server.Piece, len(kept))
	for i := range kept {
		e := &kept[i].Summary.Evidence
		pieces[i] = server.Piece{ID: e.ID, At: kept[i].Summary.End, Read: func() ([]byte, error) {
			name, envelope := prove.Find(filepath.Join(state, "evidence"), e.ID)
			if envelope == nil {
				return nil, fs.ErrNotExist // a summary is all there is
			}
			if _, err := prove.Open(ctx, envelope, trusted); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return envelope, nil
		}}
	}
	return s.book.Take(ctx, pieces)
}
