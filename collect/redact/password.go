package redact

import "strings"

// holdsURLCredential looks for scheme://user:password@host, and for the
// user:password@tcp(host) of Go's MySQL driver. A password that is a reference
// or a placeholder is none.
func holdsURLCredential(s string) bool {
	for rest := s; ; {
		i := strings.Index(rest, "://")
		if i < 0 {
			break
		}
		scheme := i > 0 && isAlphanumeric(rest[i-1])
		rest = rest[i+3:]
		if scheme && isUserinfo(rest) {
			return true
		}
	}
	for _, network := range [...]string{"@tcp(", "@unix("} {
		for rest := s; ; {
			i := strings.Index(rest, network)
			if i < 0 {
				break
			}
			before := rest[max(0, i-256):i]
			if j := strings.LastIndexAny(before, " \t\n\"'`="); j >= 0 {
				before = before[j+1:]
			}
			if user, password, found := strings.Cut(before, ":"); found && user != "" && isSecretText(password) {
				return true
			}
			rest = rest[i+len(network):]
		}
	}
	return false
}

// isUserinfo reports whether a URL's text after "://" starts with user:password@.
func isUserinfo(s string) bool {
	at, colon := -1, -1
	for i := 0; i < len(s) && i < 1024; i++ {
		c := s[i]
		if c == '@' {
			at = i // the last one counts: unescaped passwords hold "@"
			continue
		}
		if c == ':' && colon < 0 {
			colon = i
		}
		if c <= ' ' || c == '/' || c == '?' || c == '#' || c == '"' || c == '\'' || c == '`' || c == '<' && at < 0 && colon < 0 || c == ',' && at >= 0 {
			break
		}
	}
	if at < 0 || colon < 0 || colon > at {
		return false
	}
	return isSecretText(s[colon+1 : at])
}

// isSecretText reports whether what stands in a password's place can be one: it
// is neither empty nor a reference nor a placeholder.
func isSecretText(s string) bool {
	return s != "" && s != "pass" && !holdsReference(s) && s[0] != '$' && s[0] != '%' &&
		!isPlaceholder(s) && !strings.HasPrefix(s, "<") && !strings.HasPrefix(s, "[") && !isMasked(s)
}

func isMasked(s string) bool { return strings.Trim(s, "*•.") == "" }

// settingKind is what the name of a setting says about its value.
type settingKind int

const (
	notSecret    settingKind = iota
	weakSecret               // secret, token: often a name or a setting about one
	strongSecret             // clientSecret, api_key
	isPassword
)

// kindOfName judges a setting by the end of its name: dbPassword, DB_PASSWORD
// and db.password alike.
func kindOfName(name string) settingKind {
	var plain [32]byte
	n := 0
	for i := len(name) - 1; i >= 0 && n < len(plain); i-- {
		c := name[i]
		if c == '_' || c == '-' || c == '.' {
			continue
		}
		n++
		plain[len(plain)-n] = c | 0x20
	}
	s := string(plain[len(plain)-n:])
	for _, end := range [...]string{"password", "passwd", "passphrase", "pwd"} {
		if strings.HasSuffix(s, end) {
			return isPassword
		}
	}
	for _, end := range [...]string{"clientsecret", "secretkey", "secretaccesskey", "apikey", "apisecret", "appsecret", "accesstoken", "authtoken", "apitoken",
		"bearertoken", "refreshtoken", "accountkey", "sharedaccesskey", "privatekey", "encryptionkey", "signingkey", "secretkeybase", "consumersecret", "jwtsecret", "cookiesecret", "masterkey"} {
		if strings.HasSuffix(s, end) {
			return strongSecret
		}
	}
	if strings.HasSuffix(s, "secret") || strings.HasSuffix(s, "token") {
		return weakSecret
	}
	return notSecret
}

// holdsPassword looks line by line for a setting whose name says that its value
// is a password: name=value, name: value, "name": "value", --name value,
// <name>value</name>, and the "auth" of a Docker configuration. Lines that are
// comments do not count.
func holdsPassword(s string) bool {
	if !mentionsSecret(s) {
		return false
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "--") && strings.HasPrefix(line, "-- ") {
			continue
		}
		if lineHoldsPassword(line) {
			return true
		}
	}
	return false
}

// mentionsSecret spares most texts the closer look.
func mentionsSecret(s string) bool {
	for i := 0; i+3 < len(s); i++ {
		switch s[i] | 0x20 {
		case 'p': // password, passwd, passphrase, pwd
			if c := s[i+1] | 0x20; c == 'a' && s[i+2]|0x20 == 's' || c == 'w' && s[i+2]|0x20 == 'd' {
				return true
			}
		case 's': // secret
			if s[i+1]|0x20 == 'e' && s[i+2]|0x20 == 'c' && s[i+3]|0x20 == 'r' {
				return true
			}
		case 't': // token
			if s[i+1]|0x20 == 'o' && s[i+2]|0x20 == 'k' && s[i+3]|0x20 == 'e' {
				return true
			}
		case 'k': // key
			if s[i+1]|0x20 == 'e' && s[i+2]|0x20 == 'y' {
				return true
			}
		case 'a': // auth
			if s[i+1]|0x20 == 'u' && s[i+2]|0x20 == 't' && s[i+3]|0x20 == 'h' {
				return true
			}
		}
	}
	return false
}

const (
	longestName = 64
	// longestSecret is how long a value can be and still be a setting; it also
	// keeps a line of nothing but names from being read again for each.
	longestSecret = 4096
)

// lineHoldsPassword looks at each place where a value can start, and at the
// name before it.
func lineHoldsPassword(line string) bool {
	for i := 1; i < len(line)-1; i++ {
		switch line[i] {
		case '=', ':':
			if line[i] == ':' && line[i+1] == '/' { // ://
				continue
			}
			name := nameBefore(line[:i])
			if name == "" {
				continue
			}
			if isSecretSetting(name, line[i+1:], line[i] == ':') {
				return true
			}
		case ' ':
			name := nameBefore(line[:i])
			if flag, found := strings.CutPrefix(name, "--"); found && line[i+1] != '-' && isSecretSetting(flag, line[i+1:], false) {
				return true
			}
		case '>':
			// <password>hunter2</password>
			end := strings.IndexByte(line[i:min(len(line), i+longestSecret)], '<')
			if end <= 1 {
				continue
			}
			value := line[i+1 : i+end]
			if tag := nameBefore(strings.TrimRight(line[:i], "\"'")); tag != "" && strings.HasPrefix(line[i+end:], "</") &&
				kindOfName(tag) >= strongSecret && isSecretValue(kindOfName(tag), value, true) {
				return true
			}
		}
	}
	return false
}

// nameBefore gives the setting's name that the text ends with.
func nameBefore(s string) string {
	s = strings.TrimRight(s, " \t\"']\\")
	end := len(s)
	start := end
	for start > 0 && end-start < longestName && isTokenByte(s[start-1]) {
		start--
	}
	return s[start:end]
}

// isSecretSetting reports whether the name calls for a secret and what follows
// it is one. After a colon, an unquoted value must take up the line, or it is
// prose.
func isSecretSetting(name, rest string, colon bool) bool {
	kind := kindOfName(name)
	if kind == notSecret {
		if strings.EqualFold(name, "auth") || strings.EqualFold(name, "_auth") {
			value, _ := cutValue(rest)
			return isUserPassword(value)
		}
		return false
	}
	rest = strings.TrimLeft(rest, "=: \t")
	value, quoted := cutValue(rest)
	if colon && !quoted {
		after := strings.TrimLeft(rest[len(value):], " \t,;}]\"'")
		if after != "" && after[0] != '#' {
			return false
		}
	}
	if !quoted && kindOfName(value) == isPassword {
		return false // code: password=password, config.password
	}
	return isSecretValue(kind, value, quoted)
}

// cutValue gives the value that the text starts with, without its quotes.
func cutValue(s string) (value string, quoted bool) {
	s = strings.TrimLeft(s[:min(len(s), longestSecret+2)], " \t")
	s = strings.TrimPrefix(s, "\\") // \"password\":\"...\" in a JSON string
	if s == "" {
		return "", false
	}
	if q := s[0]; q == '"' || q == '\'' || q == '`' {
		end := strings.IndexByte(s[1:], q)
		if end < 0 {
			return "", false
		}
		return strings.TrimSuffix(s[1:1+end], "\\"), true
	}
	end := strings.IndexAny(s, " \t,;&\"'|\\")
	if end < 0 {
		end = len(s)
	}
	return s[:end], false
}

// isSecretValue reports whether the value of a setting with such a name is a
// secret: it has to be the firmer, the weaker the name is.
func isSecretValue(kind settingKind, value string, quoted bool) bool {
	if len(value) < 3 || len(value) > longestSecret || !isSecretText(value) || isBoolean(value) || value[0] == '/' && isPath(value) ||
		strings.Contains(value, "://") || strings.HasSuffix(value, "...") {
		return false
	}
	if !quoted {
		if strings.ContainsAny(value, "()[]{}<>$`") || strings.ContainsAny(value[:1], "*&!|>=~-.+?") {
			return false // code, YAML syntax, an operator
		}
	} else if strings.ContainsAny(value, " \t") && kind != isPassword {
		return false
	}
	switch kind {
	case isPassword:
		// "Enter your password: the ..." is text; a quoted sentence is as well.
		return strings.Count(value, " ") < 3 && (len(value) >= 4 || hasDigit(value))
	case strongSecret:
		return len(value) >= 8 && (hasDigit(value) || entropy(value) >= 3.2 && !isWord(value) || isOpaque(value)) && !isNumber(value)
	}
	return isOpaque(value) || len(value) >= 32 && isHex(value)
}
