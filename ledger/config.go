package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"filippo.io/age"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Limits on a configuration.
const (
	maxConfig     = 256 << 10
	maxRecipients = 16 // a post-quantum recipient is 2 KB, and a key entry names them all
	maxWitnesses  = 32
)

// Config is what ledger.json holds. Every key entry of the log carries its
// hash, so a change that the log does not know of is found.
type Config struct {
	Version int `json:"version"`
	// Origin is the log's name in its checkpoints.
	Origin string `json:"origin"`
	// Key is the log's public key, as a C2SP signed-note verifier key.
	Key string `json:"key"`
	// Recipients are the age recipients for whom the period keys are wrapped.
	Recipients []string `json:"recipients"`
	// Witnesses are asked to cosign checkpoints.
	Witnesses []Witness `json:"witnesses,omitempty"`
	// Quorum is how many of them have to cosign for a checkpoint to count as witnessed.
	Quorum int `json:"quorum,omitempty"`
}

// Witness is a C2SP tlog-witness.
type Witness struct {
	Key string `json:"key"` // verifier key, cosignature/v1
	URL string `json:"url"` // submission prefix
}

// ParseConfig reads and checks a configuration.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if len(data) > maxConfig {
		return c, fmt.Errorf("%s has more than %d bytes", configFile, maxConfig)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", configFile, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("%s: there is more than one value", configFile)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w", configFile, err)
	}
	return c, nil
}

func (c Config) check() error {
	if c.Version != 1 {
		return fmt.Errorf("version %d is not known; this program knows version 1", c.Version)
	}
	v, err := note.NewVerifier(c.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if v.Name() != c.Origin {
		return fmt.Errorf("key is named %q, but the origin is %q", v.Name(), c.Origin)
	}
	if _, err := parseRecipients(c.Recipients); err != nil {
		return err
	}
	if len(c.Witnesses) > maxWitnesses {
		return fmt.Errorf("%d witnesses are more than %d", len(c.Witnesses), maxWitnesses)
	}
	seen := map[string]bool{}
	for _, w := range c.Witnesses {
		v, err := fnote.NewVerifierForCosignatureV1(w.Key)
		if err != nil {
			return fmt.Errorf("witness key %q: %w", w.Key, err)
		}
		u, err := url.Parse(w.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("witness %s: %q is no http or https URL", v.Name(), w.URL)
		}
		if seen[w.Key] || seen[w.URL] {
			return fmt.Errorf("witness %s is named twice", v.Name())
		}
		seen[w.Key], seen[w.URL] = true, true
	}
	if c.Quorum < 0 || c.Quorum > len(c.Witnesses) {
		return fmt.Errorf("a quorum of %d wants as many witnesses; there are %d", c.Quorum, len(c.Witnesses))
	}
	return nil
}

func (c Config) marshal() ([]byte, error) {
	data, err := json.MarshalIndent(c, "", "  ")
	return append(data, '\n'), err
}

func (c Config) verifiers() ([]note.Verifier, error) {
	var list []note.Verifier
	for _, w := range c.Witnesses {
		v, err := fnote.NewVerifierForCosignatureV1(w.Key)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// parseRecipients reads age recipients. Post-quantum and classic ones are not
// mixed: a key wrapped for both is only as safe as the weaker.
func parseRecipients(list []string) ([]age.Recipient, error) {
	if len(list) == 0 {
		return nil, errors.New("there is no recipient, so nobody could read the records")
	}
	if len(list) > maxRecipients {
		return nil, fmt.Errorf("%d recipients are more than %d", len(list), maxRecipients)
	}
	var out []age.Recipient
	hybrid := 0
	for _, s := range list {
		if strings.HasPrefix(s, "AGE-SECRET-KEY-") {
			return nil, errors.New("a recipient is a secret key; give its public key, which begins with age1")
		}
		if r, err := age.ParseHybridRecipient(s); err == nil {
			out = append(out, r)
			hybrid++
			continue
		}
		r, err := age.ParseX25519Recipient(s)
		if err != nil {
			return nil, fmt.Errorf("recipient %.24q is no age public key (age1... or age1pq1...)", s)
		}
		out = append(out, r)
	}
	if hybrid != 0 && hybrid != len(list) {
		return nil, errors.New("post-quantum (age1pq1...) and classic (age1...) recipients cannot be mixed: the key would be as weak as the classic ones")
	}
	return out, nil
}

// readConfig reads ledger.json and its hash.
func readConfig(fsys fs.FS) (Config, string, error) {
	data, err := readBounded(fsys, configFile, maxConfig)
	if err != nil {
		return Config{}, "", err
	}
	c, err := ParseConfig(data)
	return c, hexSum(data), err
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readBounded reads a file that must not have more than limit bytes.
func readBounded(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, info, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// openRegular opens a regular file. It looks before, since opening a named pipe waits for its writer.
func openRegular(fsys fs.FS, name string) (fs.File, fs.FileInfo, error) {
	before, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
