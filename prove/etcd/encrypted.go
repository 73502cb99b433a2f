package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// encryptedPrefix begins every value that a provider of the API server
// encrypted; what begins otherwise was stored as it is.
var encryptedPrefix = []byte("k8s:enc:")

// The bounds of what is read of a prefix. The API server bounds a KMS key's id
// to 1 kB, and the names of keys and plugins not at all.
const (
	wordLimit  = 64
	nameLimit  = 512
	keyIDLimit = 1024
)

// encryptedBy tells by which key a stored value is encrypted: "aescbc:key1",
// "kms:v1:vault", or "kms:v2:vault:<key id>"; empty for plain text. A value of a
// provider that it does not know is an error: it is neither.
//
// The name of a key ends at the first colon. The API server lets a name hold
// colons (not a KMS plugin's), and nothing in the value tells where such a name ends.
func encryptedBy(value []byte) (string, error) {
	rest, found := bytes.CutPrefix(value, encryptedPrefix)
	if !found {
		return "", nil
	}
	provider, rest, err := word(rest, wordLimit)
	if err != nil {
		return "", err
	}
	version, rest, err := word(rest, wordLimit)
	if err != nil {
		return "", err
	}
	name, rest, err := word(rest, nameLimit)
	if err != nil {
		return "", err
	}
	switch form := provider + ":" + version; form {
	case "aescbc:v1", "aesgcm:v1", "secretbox:v1":
		return provider + ":" + name, nil
	case "kms:v1": // the key's id is the plugin's own, inside the cipher text
		return form + ":" + name, nil
	case "kms:v2":
		id, err := keyID(rest)
		if err != nil {
			return "", err
		}
		return form + ":" + name + ":" + id, nil
	default:
		return "", fmt.Errorf("a provider that is not known here: %s", printable(form))
	}
}

// word takes what is before the next colon.
func word(b []byte, limit int) (string, []byte, error) {
	head := b[:min(len(b), limit+1)]
	i := bytes.IndexByte(head, ':')
	if i < 0 {
		return "", nil, errors.New("its encryption prefix has no end")
	}
	return printable(string(b[:i])), b[i+1:], nil
}

// keyID takes the field keyID (2) out of an EncryptedObject, the message that a
// KMS v2 plugin's values hold.
func keyID(b []byte) (string, error) {
	const field = 2
	var id []byte
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", fmt.Errorf("its KMS envelope: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if number == field && kind == protowire.BytesType {
			if id, n = protowire.ConsumeBytes(b); n < 0 {
				return "", fmt.Errorf("its KMS envelope: %w", protowire.ParseError(n))
			}
		} else if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return "", fmt.Errorf("its KMS envelope: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	if len(id) == 0 || len(id) > keyIDLimit {
		return "", fmt.Errorf("its KMS envelope names a key by %d bytes; 1 to %d are allowed", len(id), keyIDLimit)
	}
	return printable(string(id)), nil
}

// printable quotes what is not plain ASCII, so that a name cannot write to a
// terminal.
func printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
