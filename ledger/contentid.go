package ledger

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ContentID gives an ID to data that has none of its own: the same data with the same number gets
// the same one. It is made with a key that no reader has, so that nobody can tell from a shredded record's
// keyed ID whether it was what he guesses. A record that a version before kept under its plain hash keeps that ID.
func (l *Log) ContentID(data []byte, number int) (string, error) {
	plain := fmt.Sprintf("%x:%d", sha256.Sum256(data), number)
	l.mu.Lock()
	_, found, err := l.known.find(keyID(l.idKey, plain))
	l.mu.Unlock()
	if err != nil || found {
		return plain, err
	}
	mac := hmac.New(sha256.New, l.contentKey)
	mac.Write([]byte(plain))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// readContentKey reads the key of ContentID, or makes it for a ledger that has none yet.
func (l *Log) readContentKey() error {
	path := filepath.Join(l.dir, contentKey)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		l.contentKey = make([]byte, idKeySize)
		rand.Read(l.contentKey)
		return writeDurable(path, []byte(hex.EncodeToString(l.contentKey)+"\n"))
	}
	if err != nil {
		return err
	}
	if l.contentKey, err = hex.DecodeString(strings.TrimSpace(string(data))); err != nil || len(l.contentKey) != idKeySize {
		return fmt.Errorf("%s holds no key", contentKey)
	}
	return nil
}
