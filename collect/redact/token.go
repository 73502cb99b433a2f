package redact

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"strings"
)

// holdsPrivateKey looks for private keys in PEM (PKCS #1, PKCS #8, EC, OpenSSH,
// encrypted ones too), in base64 of PEM as kubeconfigs have it, and in the
// forms of PGP, SSH2, PuTTY and age. A header with nothing behind it, as in
// documentation, is none.
func holdsPrivateKey(s string) bool {
	for rest := s; ; {
		i := strings.Index(rest, "-----BEGIN ")
		if i < 0 {
			break
		}
		rest = rest[i+len("-----BEGIN "):]
		label, body, found := strings.Cut(rest[:min(len(rest), 256)], "-----")
		if found && len(label) < 64 && (strings.HasSuffix(label, "PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK") && isKeyBody(body) {
			return true
		}
	}
	for rest := s; ; {
		i := strings.Index(rest, pemInBase64)
		if i < 0 {
			break
		}
		rest = rest[i:]
		if head, err := base64.StdEncoding.DecodeString(rest[:min(len(rest), 64)&^3]); err == nil {
			if text := string(head); strings.Contains(text, "PRIVATE KEY") {
				return true
			}
		}
		rest = rest[len(pemInBase64):]
	}
	if i := strings.Index(s, "AGE-SECRET-KEY-1"); i >= 0 && run(s[i+16:], isAlphanumeric) >= 58 {
		return true
	}
	return strings.Contains(s, "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----") ||
		strings.HasPrefix(s, "PuTTY-User-Key-File-")
}

// pemInBase64 is how base64 of "-----BEGIN " starts.
const pemInBase64 = "LS0tLS1CRUdJTi"

func isBase64PEM(s string) bool { return strings.HasPrefix(s, pemInBase64) }

// isKeyBody tells what stands behind a PEM header from a "..." or a template.
// Line ends may be written as \n, as in JSON.
func isKeyBody(s string) bool {
	s = strings.TrimLeft(s, "\r\n\t \\nr\"")
	for { // the headers of encrypted keys, and PGP's
		line, rest, found := strings.Cut(s, "\n")
		if name, _, isHeader := strings.Cut(line, ":"); !isHeader || !isMadeOf(name, "-") {
			break
		}
		if !found {
			return true // cut off behind a header
		}
		s = strings.TrimLeft(rest, "\r\n\t ")
	}
	word := s[:run(s, func(c byte) bool { return isAlphanumeric(c) || c == '+' || c == '/' || c == '=' })]
	rest := s[len(word):]
	return len(word) >= 4 && !isPlaceholder(word) && !strings.HasPrefix(rest, ".") && !strings.HasPrefix(rest, " ")
}

// holdsToken looks at each run of token characters for a provider's form.
func holdsToken(s string) bool {
	for start := 0; start < len(s); {
		end := start
		for end < len(s) && isTokenByte(s[end]) {
			end++
		}
		if end-start >= 16 && isToken(s[start:end]) {
			return true
		}
		start = end + 1
	}
	return holdsSlackWebhook(s) || holdsAuthorization(s)
}

func isTokenByte(c byte) bool { return isAlphanumeric(c) || c == '_' || c == '-' || c == '.' }

// tokenForm is a provider's token: a prefix and so many characters after it.
type tokenForm struct {
	prefix   string
	min, max int
	// alphabet are the characters allowed beside letters and digits.
	alphabet string
}

// tokenForms are by first letter; each prefix is long or odd enough that a word
// does not start so. Sources are the providers' documents on secret scanning.
var tokenForms = [...]tokenForm{
	{"glpat-", 20, 300, "_-."}, {"gldt-", 20, 64, "_-"}, {"glrt-", 20, 300, "_-."}, {"glsa_", 32, 48, "_"}, {"glc_", 32, 400, "=+/"},
	{"npm_", 36, 36, ""}, {"pypi-AgE", 50, 1000, "_-"}, {"rubygems_", 48, 48, ""}, {"dckr_pat_", 27, 40, "_-"}, {"dckr_oat_", 27, 40, "_-"},
	{"sk_live_", 16, 256, ""}, {"rk_live_", 16, 256, ""}, {"sk_test_", 24, 256, ""}, {"whsec_", 32, 64, "+/="},
	{"xoxb-", 20, 255, "-"}, {"xoxp-", 20, 255, "-"}, {"xoxa-", 20, 255, "-"}, {"xoxr-", 20, 255, "-"}, {"xoxs-", 20, 255, "-"}, {"xapp-", 20, 255, "-"},
	{"AIza", 35, 35, "_-"}, {"ya29.", 40, 1024, "_-."}, {"GOCSPX-", 28, 28, "_-"},
	{"sk-ant-", 80, 200, "_-"}, {"sk-proj-", 40, 200, "_-"}, {"hf_", 34, 40, ""},
	{"shpat_", 32, 32, ""}, {"shpss_", 32, 32, ""}, {"dop_v1_", 64, 64, ""}, {"doo_v1_", 64, 64, ""},
	{"hvs.", 24, 300, "_-"}, {"hvb.", 100, 500, "_-"}, {"dp.st.", 40, 80, "."}, {"pul-", 40, 40, ""}, {"lin_api_", 40, 40, ""},
	{"sntrys_", 60, 400, "_=+/"}, {"NRAK-", 27, 27, ""}, {"atlasv1.", 60, 70, "_-="}, {"EAACEdEose0cBA", 20, 300, ""}, {"tskey-", 20, 100, "-"},
}

func isToken(s string) bool {
	switch s[0] {
	case 'A':
		if (strings.HasPrefix(s, "AKIA") || strings.HasPrefix(s, "ASIA")) && len(s) == 20 {
			return isUpperBase32(s[4:]) && !strings.HasSuffix(s, "EXAMPLE")
		}
	case 'e':
		if strings.HasPrefix(s, "ey") && strings.Count(s, ".") >= 2 {
			return isJWT(s)
		}
	case 'g':
		if len(s) == 40 && s[3] == '_' && s[1] == 'h' && strings.IndexByte("pousr", s[2]) >= 0 {
			return isGitHubToken(s)
		}
		if rest, found := strings.CutPrefix(s, "github_pat_"); found {
			return len(rest) == 82 && isMadeOf(rest, "_")
		}
	case 'S':
		if strings.HasPrefix(s, "SG.") && len(s) == 69 && s[25] == '.' {
			return isMadeOf(s, "._-")
		}
		if strings.HasPrefix(s, "SK") && len(s) == 34 {
			return false // Twilio's key SID is a name; its secret has no form
		}
	}
	for i := range tokenForms {
		form := &tokenForms[i]
		if s[0] != form.prefix[0] {
			continue
		}
		rest, found := strings.CutPrefix(s, form.prefix)
		if found && form.min <= len(rest) && len(rest) <= form.max && isMadeOf(rest, form.alphabet) && entropy(rest) >= 2.5 && hasDigit(rest) {
			return true
		}
	}
	return false
}

func isUpperBase32(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('A' <= c && c <= 'Z' || '2' <= c && c <= '7') {
			return false
		}
	}
	return entropy(s) >= 2.5
}

// isGitHubToken checks the last six characters: the CRC-32 of the thirty before
// them in base 62, as GitHub has made them since 2021. A token that was
// altered by hand fails it, so a random-looking body counts as well.
func isGitHubToken(s string) bool {
	body := s[4:]
	if !isMadeOf(body, "") {
		return false
	}
	return base62(crc32.ChecksumIEEE([]byte(body[:30])), 6) == body[30:] || entropy(body) >= 3.5
}

func base62(n uint32, width int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	return string(b)
}

// isJWT checks that the first part is base64url of a JSON object with the
// member alg, and that the others are base64url too.
func isJWT(s string) bool {
	parts := strings.SplitN(s, ".", 6)
	if len(parts) != 3 && len(parts) != 5 || len(parts[0]) > 2048 || parts[1] == "" && len(parts) == 3 {
		return false
	}
	for _, p := range parts[1:] {
		if p != "" && !isMadeOf(p, "_-") {
			return false
		}
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return false
	}
	var header struct{ Alg *string }
	return json.Unmarshal(head, &header) == nil && header.Alg != nil && len(parts[1])+len(parts[2]) >= 16
}

// holdsSlackWebhook looks for the address that lets its holder post.
func holdsSlackWebhook(s string) bool {
	const start = "hooks.slack.com/services/T"
	i := strings.Index(s, start)
	if i < 0 {
		return false
	}
	rest := s[i+len(start):]
	rest = rest[:run(rest, func(c byte) bool { return isAlphanumeric(c) || c == '/' })]
	parts := strings.Split(rest, "/")
	return len(parts) == 3 && len(parts[1]) >= 8 && len(parts[2]) >= 20 && entropy(parts[2]) >= 3
}

// holdsAuthorization looks for the credentials of an Authorization header:
// Bearer with a random-looking token, Basic with base64 of user:password.
func holdsAuthorization(s string) bool {
	for _, scheme := range [...]string{"earer ", "asic "} {
		for rest := s; ; {
			i := strings.Index(rest, scheme)
			if i < 0 {
				break
			}
			before := byte(' ')
			if i > 0 {
				before = rest[i-1] | 0x20
			}
			rest = rest[i+len(scheme):]
			value := rest[:run(rest, func(c byte) bool { return isTokenByte(c) || c == '+' || c == '/' || c == '=' || c == '~' })]
			switch {
			case scheme == "earer " && before == 'b' && len(value) >= 20 && isOpaque(value):
				return true
			case scheme == "asic " && before == 'b' && isUserPassword(value):
				return true
			}
		}
	}
	return false
}

// isUserPassword takes base64 of "user:password".
func isUserPassword(s string) bool {
	if len(s) < 8 || len(s) > 1024 {
		return false
	}
	plain, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return false
	}
	for _, c := range plain {
		if c < ' ' || c > '~' {
			return false
		}
	}
	user, password, found := strings.Cut(string(plain), ":")
	return found && user != "" && isSecretText(password)
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// run is the length of the text's start that is made of such bytes.
func run(s string, is func(byte) bool) int {
	for i := range len(s) {
		if !is(s[i]) {
			return i
		}
	}
	return len(s)
}
