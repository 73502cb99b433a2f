package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baileyhq/bailey/server"
)

// openData finds the data folder, and makes it where there is none.
func (f *serveFlags) openData() (err error) {
	if f.data, err = dataFolder(f.data); err != nil {
		return err
	}
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		return usageError("--data: %w", err)
	}
	return nil
}

const (
	// hallmarkFile keeps, in the data folder, the key by which requests are known as Bailey's own.
	hallmarkFile = "hallmark.key"
	hallmarkKey  = 32 // bytes
)

// openHallmark reads the key in the data folder, or makes one.
func (f *serveFlags) openHallmark(now func() time.Time) error {
	if f.hallmark != nil {
		return nil
	}
	path := filepath.Join(f.data, hallmarkFile)
	data, err := readBounded(path, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, hallmarkKey)
		_, _ = rand.Read(fresh) // it never fails
		if err := writeFile(path, 0o600, func(w io.Writer) error { _, err := fmt.Fprintf(w, "%x\n", fresh); return err }); err != nil {
			return err
		}
		data, err = readBounded(path, 4<<10)
	}
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(key) != hallmarkKey {
		return fmt.Errorf("%s holds no key\nhint: remove it, and a new one is made; alerts may then tell of what Bailey did a moment ago", path)
	}
	f.hallmark = server.NewHallmark(key, now)
	return nil
}

// tokenFile holds the token of the local administrator.
const tokenFile = "token"

// localToken reads the token, or makes it.
func localToken(dir string) (string, error) {
	path := filepath.Join(dir, tokenFile)
	data, err := readBounded(path, 4<<10)
	switch {
	case err == nil && len(strings.TrimSpace(string(data))) >= 32:
		return strings.TrimSpace(string(data)), nil
	case err == nil:
		return "", fmt.Errorf("%s holds no token\nhint: remove it, and a new one is made", path)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	var b [32]byte
	_, _ = rand.Read(b[:])
	token := base64.RawURLEncoding.EncodeToString(b[:])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(f, token)
	return token, errors.Join(err, f.Close())
}
