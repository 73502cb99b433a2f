package redact

import (
	"encoding/base64"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// shape gives the class of a text that is no credential by its form.
func shape(s string) bailey.Class {
	multiline := strings.IndexByte(s, '\n') >= 0
	spaced := multiline || strings.ContainsAny(s, " \t\r")
	switch {
	case isPublicKey(s):
		return bailey.ClassPublicKey
	case !spaced && isBoolean(s):
		return bailey.ClassBoolean
	case !spaced && isNumber(s):
		return bailey.ClassNumber
	case !multiline && isPlaceholder(s):
		return bailey.ClassPlaceholder
	case !spaced && isHash(s):
		return bailey.ClassHash
	case !multiline && holdsReference(s):
		return bailey.ClassReference
	case multiline && isBase64Lines(s):
		return bailey.ClassOpaque
	case spaced:
		return bailey.ClassText
	case isURL(s):
		return bailey.ClassURL
	case isPath(s):
		return bailey.ClassPath
	case isOpaque(s):
		return bailey.ClassOpaque
	case isWord(s):
		return bailey.ClassWord
	}
	return bailey.ClassText
}

func isBoolean(s string) bool {
	switch len(s) {
	case 2, 3, 4, 5, 7, 8:
		switch strings.ToLower(s) {
		case "true", "false", "yes", "no", "on", "off", "enabled", "disabled":
			return true
		}
	}
	return false
}

// isNumber takes numbers, quantities (500m, 64Mi, 10GB), percentages, durations
// (1h30m), versions (v1.2.3-rc.1), dates, addresses with or without a prefix
// length, and lists of numbers.
func isNumber(s string) bool {
	if len(s) > 64 {
		return false
	}
	digits := 0
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if digits >= 6 && strings.Trim(s, "0123456789-:.TZ+") == "" && s[0] != ':' {
		return true // a date
	}
	rest := strings.TrimLeft(s, "+-")
	if rest[0] == ':' {
		return false
	}
	rest = strings.TrimLeft(rest, "0123456789.,_:")
	switch strings.ToLower(rest) {
	case "", "%", "m", "k", "g", "t", "p", "e", "n", "u", "ki", "mi", "gi", "ti", "pi", "ei",
		"b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "s", "ms", "us", "ns", "h", "d", "w", "y",
		"sec", "secs", "min", "mins", "hour", "hours", "day", "days":
		return true
	}
	if c := s[0]; c == 'v' || '0' <= c && c <= '9' {
		if isVersion(strings.TrimPrefix(s, "v")) {
			return true
		}
		if strings.HasPrefix(s, "0x") && isHex(s[2:]) && len(s) <= 18 {
			return true
		}
		if _, err := time.ParseDuration(s); err == nil {
			return true
		}
	}
	if strings.Count(s, ".") == 3 || strings.Count(s, ":") > 1 {
		if _, err := netip.ParseAddr(s); err == nil {
			return true
		}
		if _, err := netip.ParsePrefix(s); err == nil {
			return true
		}
	}
	exponent := strings.TrimLeft(rest, "eE+-0123456789")
	return exponent == "" && (rest[0] == 'e' || rest[0] == 'E') && len(s) < 24
}

// isVersion takes "1.2", "1.2.3-rc.1+build".
func isVersion(s string) bool {
	core, suffix, _ := strings.Cut(s, "-")
	core, _, _ = strings.Cut(core, "+")
	parts := strings.Split(core, ".")
	if len(parts) < 2 || len(parts) > 4 || len(suffix) > 24 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 8 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// separators takes out what may stand between words. It is shared, since
// building it costs more than its use.
var separators = strings.NewReplacer("-", "", "_", "", " ", "", ".", "")

// isPlaceholder takes what stands where a person has yet to put a value.
func isPlaceholder(s string) bool {
	if len(s) > 128 {
		return false
	}
	if len(s) >= 2 {
		switch {
		case s[0] == '<' && s[len(s)-1] == '>' && strings.Count(s, "<") == 1,
			strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__"),
			s[0] == '%' && s[len(s)-1] == '%', s[0] == '@' && s[len(s)-1] == '@':
			return true
		}
	}
	if strings.Trim(s, "xX*.-_?#") == "" && len(s) >= 3 {
		return true
	}
	switch s {
	case "PASSWORD", "SECRET", "TOKEN", "KEY", "USER", "USERNAME", "PASS", "API_KEY", "VALUE":
		return true
	}
	lower := strings.ToLower(s)
	plain := separators.Replace(lower)
	switch plain {
	case "todo", "fixme", "tbd", "none", "null", "nil", "undefined", "n/a", "dummy", "example", "sample", "setme", "notset", "unset", "unused", "notused":
		return true
	}
	for _, mark := range [...]string{"changeme", "changethis", "changeit", "replaceme", "replacethis", "replacewith", "toreplace", "insertyour",
		"enteryour", "putyour", "addyour", "fillmein", "tobeset", "tobereplaced", "tobechanged", "placeholder", "redacted", "pleasechange", "notasecret", "notarealsecret"} {
		if strings.Contains(plain, mark) && strings.Count(s, " ") <= 3 {
			return true
		}
	}
	if strings.HasPrefix(lower, "insert_") || strings.HasPrefix(lower, "insert-") || strings.HasPrefix(lower, "insert ") || isVariable(s) {
		return true
	}
	if rest, found := strings.CutPrefix(plain, "your"); found && rest != "" {
		return true
	}
	if rest, found := strings.CutPrefix(plain, "my"); found {
		switch rest {
		case "password", "secret", "token", "key", "apikey", "value":
			return true
		}
	}
	return strings.HasPrefix(lower, "example-") || strings.HasPrefix(lower, "example_") || strings.HasSuffix(s, "EXAMPLE") || strings.HasPrefix(lower, "xxxx")
}

// isVariable takes a text that reads like the name of a variable for a secret, or of its
// value: GOOGLE_API_KEY_VAL.
func isVariable(s string) bool {
	at := strings.LastIndexByte(s, '_')
	if at <= 0 || strings.ToUpper(s) != s || strings.ContainsFunc(s, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		return false
	}
	switch s[at+1:] {
	case "VAL", "VALUE", "HERE", "KEY", "TOKEN", "PASSWORD", "SECRET":
		return true
	}
	return false
}

// holdsReference reports whether another value is put in when the text is used.
func holdsReference(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		switch s[i] {
		case '$':
			if c := s[i+1]; c == '(' || c == '{' || c == '[' || i == 0 && (c == '_' || isLetter(c)) {
				return true
			}
		case '{':
			if s[i+1] == '{' {
				return true
			}
		case '#':
			if s[i+1] == '{' {
				return true
			}
		}
	}
	return false
}

func isPublicKey(s string) bool {
	if strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-sha2-") || strings.HasPrefix(s, "sk-ssh-") {
		_, rest, _ := strings.Cut(s, " ")
		return strings.HasPrefix(rest, "AAAA")
	}
	if begin := strings.Index(s, "-----BEGIN "); begin >= 0 {
		label, _, found := strings.Cut(s[begin+len("-----BEGIN "):], "-----")
		return found && (strings.Contains(label, "CERTIFICATE") || strings.Contains(label, "PUBLIC KEY"))
	}
	if isBase64PEM(s) {
		head, _ := base64.StdEncoding.DecodeString(s[:min(len(s), 56)&^3])
		return strings.Contains(string(head), "CERTIFICATE") || strings.Contains(string(head), "PUBLIC KEY")
	}
	return false
}

// isHash takes hexadecimal digests, UUIDs, and hashes as crypt(3) writes them.
func isHash(s string) bool {
	if algorithm, digest, found := strings.Cut(s, ":"); found {
		switch algorithm {
		case "sha1", "sha256", "sha384", "sha512", "md5":
			return isHex(digest)
		}
	}
	switch len(s) {
	case 32, 40, 56, 64, 96, 128:
		if isHex(s) {
			return true
		}
	case 36:
		if s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' && isHex(strings.ReplaceAll(s, "-", "")) {
			return true
		}
	}
	if len(s) > 20 && s[0] == '$' {
		id, _, found := strings.Cut(s[1:], "$")
		switch id {
		case "1", "2", "2a", "2b", "2x", "2y", "5", "6", "7", "y", "apr1", "argon2i", "argon2d", "argon2id", "pbkdf2-sha256", "pbkdf2-sha512", "scrypt":
			return found
		}
	}
	return strings.HasPrefix(s, "{SHA}") || strings.HasPrefix(s, "{SSHA}")
}

func isPath(s string) bool {
	switch {
	case s[0] == '/', strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"), strings.HasPrefix(s, "~/"):
		return !strings.HasSuffix(s, "=") // base64 can start with a slash
	case len(s) > 3 && isLetter(s[0]) && s[1] == ':' && s[2] == '\\':
		return true
	}
	if image, digest, found := strings.Cut(s, "@sha256:"); found && isHex(digest) && isMadeOf(image, "/._-:") {
		return true
	}
	// a/b/c and config.yaml
	if strings.IndexByte(s, '/') > 0 && !isOpaque(s) {
		return isMadeOf(s, "/._-+@:*")
	}
	dot := strings.LastIndexByte(s, '.')
	switch s[dot+1:] {
	case "yaml", "yml", "json", "conf", "cfg", "ini", "toml", "xml", "properties", "txt", "log", "sh", "py", "js", "lua",
		"pem", "crt", "key", "cer", "p12", "jks", "sock", "db", "sql", "html", "css", "jar", "war", "env", "csv", "tmpl", "gz", "zip":
		return dot > 0
	}
	return false
}

// isURL takes URLs, host:port, dotted host names, and lists of them.
func isURL(s string) bool {
	if i := strings.Index(s, "://"); i > 0 {
		return isMadeOf(s[:i], "+.-:")
	}
	for part := range strings.SplitSeq(s, ",") {
		host, port, hasPort := cutLast(part, ':')
		if hasPort {
			if port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "" || host != "" && !isMadeOf(host, ".-_[]:") {
				return false
			}
			continue
		}
		dot := strings.LastIndexByte(part, '.')
		switch part[dot+1:] {
		case "com", "org", "net", "io", "dev", "local", "internal", "svc", "cloud", "app", "gov", "edu", "eu", "de", "uk", "localdomain":
			if dot <= 0 || !isMadeOf(part, ".-_*") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// isWord takes one identifier.
func isWord(s string) bool {
	return len(s) <= 64 && isMadeOf(s, "_-.:/@+")
}

// isOpaque takes a text of 16 and more characters that looks random: parts that
// are neither words nor numbers make up most of it, and its entropy is high.
func isOpaque(s string) bool {
	if len(s) < 16 {
		return false
	}
	random := 0
	for start := 0; start < len(s); {
		end := start
		for end < len(s) && strings.IndexByte("-_./:@,;=+", s[end]) < 0 {
			end++
		}
		if part := s[start:end]; !isWordLike(part) {
			random += len(part)
		}
		start = end + 1
	}
	return random >= 10 && 2*random >= len(s) && entropy(s) >= 3
}

// isWordLike takes parts of identifiers: word, Word, WORD, word2, 2024,
// camelCase, utf8Encoding. In those the runs of lower case, capitals and digits
// are long; in random text they are not.
func isWordLike(s string) bool {
	if len(s) < 6 {
		return true
	}
	runs, upper, lower, digits, symbols := 1, 0, 0, 0, 0
	var last byte
	for i := range len(s) {
		kind := byte('d')
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			kind = 'l'
			lower++
		case 'A' <= c && c <= 'Z':
			kind = 'u'
			upper++
		default:
			digits++
		}
		if i > 0 && kind != last && (last != 'u' || kind != 'l') {
			runs++
		}
		last = kind
	}
	switch {
	case digits == len(s):
		return true
	case digits+symbols == 0 && (upper == 0 || lower == 0):
		return vowels(s)*6 >= len(s) || len(s) < 10
	}
	return runs*3 <= len(s) && digits*3 <= len(s)
}

func vowels(s string) int {
	n := 0
	for i := range len(s) {
		switch s[i] | 0x20 {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			n++
		}
	}
	return n
}

// entropy is Shannon's, in bits per byte, of the first 256 bytes.
func entropy(s string) float64 {
	s = s[:min(len(s), 256)]
	var counts [256]int
	for i := range len(s) {
		counts[s[i]]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			sum += float64(n) * math.Log2(float64(n))
		}
	}
	return math.Log2(float64(len(s))) - sum/float64(len(s))
}

// isBase64Lines takes wrapped base64: lines of one length without spaces.
func isBase64Lines(s string) bool {
	width, lines := 0, 0
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if lines++; lines == 1 {
			width = len(line)
		}
		if len(line) > width || !isMadeOf(line, "+/=") {
			return false
		}
	}
	return width >= 32 && lines > 1
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return len(s) > 0
}

// isMadeOf reports whether the text holds letters, digits and the others only.
func isMadeOf(s, others string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool       { c |= 0x20; return 'a' <= c && c <= 'z' }
func isAlphanumeric(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' }
