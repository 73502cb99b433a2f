package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode"
)

// clean gives a text that every database takes: what is no UTF-8, and NUL, is replaced.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

const (
	wordBytes = 64  // longer words are cut
	wordCount = 200 // further words are not found
	textBytes = 16 << 10
)

// words gives the different words of texts, in lower case: runs of letters and digits.
func words(texts ...string) []string {
	var list []string
	seen := map[string]bool{}
	for _, text := range texts {
		if len(text) > textBytes {
			text = text[:textBytes]
		}
		for word := range strings.FieldsFuncSeq(strings.ToLower(clean(text)), func(r rune) bool {
			return r == unicode.ReplacementChar || !unicode.IsLetter(r) && !unicode.IsNumber(r)
		}) {
			if len(word) > wordBytes {
				word = strings.ToValidUTF8(word[:wordBytes], "")
			}
			if !seen[word] {
				seen[word] = true
				if list = append(list, word); len(list) == wordCount {
					return list
				}
			}
		}
	}
	return list
}

// encode writes a document, and a number that changes with it.
func encode(doc any) (text string, hash int64, err error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return "", 0, err
	}
	sum := sha256.Sum256(data)
	return string(data), int64(binary.BigEndian.Uint64(sum[:8])), nil
}

// bit is truth as it is kept.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
