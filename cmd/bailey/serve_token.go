package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

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
