package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"
)

// InitOptions are the settings of a new ledger.
type InitOptions struct {
	// Origin is the log's name in its checkpoints, like "example.org/audit".
	// Default: a random one.
	Origin string
	// Recipients are the age public keys (age1pq1..., or age1...) whose holders read the
	// records. Default: a post-quantum identity is made and kept in the folder.
	Recipients []string
	// Witnesses are asked to cosign checkpoints.
	Witnesses []Witness
	// Quorum is how many of them have to. Default: the majority.
	Quorum int
}

// Init makes a new ledger in dir, which must not exist or be empty. It gives
// the configuration, whose Key verifies the log.
func Init(ctx context.Context, dir string, o InitOptions) (Config, error) {
	dir = filepath.Clean(dir)
	if files, err := os.ReadDir(dir); err == nil && len(files) > 0 {
		if _, err := os.Stat(filepath.Join(dir, configFile)); err == nil {
			return Config{}, fmt.Errorf("%s is a ledger already", dir)
		}
		return Config{}, fmt.Errorf("%s is not empty\nhint: name a folder that does not exist", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, err
	}
	if o.Origin == "" {
		o.Origin = "ledger/" + rand.Text()[:12]
	}
	if err := checkOrigin(o.Origin); err != nil {
		return Config{}, err
	}
	if o.Quorum == 0 && len(o.Witnesses) > 0 {
		o.Quorum = len(o.Witnesses)/2 + 1
	}
	// Everything is made beside the folder and renamed, so that a ledger is there whole or not at all.
	made, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".init*") // mode 0700
	if err != nil {
		return Config{}, err
	}
	config, err := initFolder(ctx, made, o)
	if err == nil {
		err = os.Rename(made, dir)
	}
	if err != nil {
		return Config{}, errors.Join(err, os.RemoveAll(made))
	}
	return config, syncFolder(filepath.Dir(dir))
}

func checkOrigin(origin string) error {
	if len(origin) > 255 || strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r == '+' || r == 0x7f }) {
		return fmt.Errorf("origin %q: it has spaces, control characters, a plus sign, or more than 255 bytes", origin)
	}
	return nil
}

func initFolder(ctx context.Context, dir string, o InitOptions) (Config, error) {
	for _, name := range []string{logFolder, keyFolder, bodyFolder, indexFolder, secrets} {
		if err := makeFolder(filepath.Join(dir, name)); err != nil {
			return Config{}, err
		}
	}
	if len(o.Recipients) == 0 {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return Config{}, err
		}
		o.Recipients = []string{id.Recipient().String()}
		text := "# age identity that reads this ledger. Keep it elsewhere.\n" + id.String() + "\n"
		if err := writeDurable(filepath.Join(dir, identity), []byte(text)); err != nil {
			return Config{}, err
		}
	}
	secret, public, err := note.GenerateKey(rand.Reader, o.Origin)
	if err != nil {
		return Config{}, err
	}
	c := Config{Version: 1, Origin: o.Origin, Key: public, Recipients: o.Recipients, Witnesses: o.Witnesses, Quorum: o.Quorum}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	data, err := c.marshal()
	if err != nil {
		return Config{}, err
	}
	ids := make([]byte, idKeySize)
	rand.Read(ids)
	state, err := json.Marshal(ownState{Config: hexSum(data)})
	if err != nil {
		return Config{}, err
	}
	for name, data := range map[string][]byte{
		ownFile:    append(state, '\n'),
		signingKey: []byte(secret + "\n"),
		idKey:      []byte(hex.EncodeToString(ids) + "\n"),
		configFile: data,
	} {
		if err := writeDurable(filepath.Join(dir, name), data); err != nil {
			return Config{}, err
		}
	}
	return c, beginLog(ctx, dir, c)
}

// beginLog makes the empty log and its first entry, a period's key.
func beginLog(ctx context.Context, dir string, c Config) error {
	signer, err := os.ReadFile(filepath.Join(dir, signingKey))
	if err != nil {
		return err
	}
	s, err := note.NewSigner(strings.TrimSpace(string(signer)))
	if err != nil {
		return err
	}
	o := Options{BatchSize: 1, BatchAge: 1, Offline: true}
	empty, err := startSequencer(filepath.Join(dir, logFolder), s, c, o)
	if err != nil {
		return err
	}
	empty.abandon()
	l, err := Open(ctx, dir, o)
	if err != nil {
		return err
	}
	return errors.Join(l.renewPeriod(ctx), l.Close(ctx))
}
