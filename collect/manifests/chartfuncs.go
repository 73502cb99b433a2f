package manifests

import (
	"fmt"
	"strings"
	texttemplate "text/template"
)

// Bounds for the functions of templates that make much out of little.
const (
	maxRepeat = 1 << 20
	maxUntil  = 10_000
	maxIndent = 1_000
)

// keyPair is what helm's certificate functions return.
type keyPair struct{ Cert, Key string }

// tameFunctions replaces functions of the templates' library. Those that can be
// made to fill the memory are bounded. Those that make random texts, keys and
// certificates give fixed ones instead: what they make is a secret that no fact
// keeps, a generated key costs seconds, and two scans of one chart should agree.
func tameFunctions() texttemplate.FuncMap {
	pair := func(...any) keyPair { return keyPair{Cert: fixedCertificate, Key: fixedKey} }
	random := func(alphabet string) func(int) (string, error) {
		return func(n int) (string, error) {
			if n < 0 || n > maxRepeat {
				return "", fmt.Errorf("a random text of %d characters", n)
			}
			return strings.Repeat(alphabet, n/len(alphabet)+1)[:n], nil
		}
	}
	indent := func(n int, s string) (string, error) {
		if n < 0 || n > maxIndent || n*strings.Count(s, "\n") > maxRepeat*16 {
			return "", fmt.Errorf("an indentation of %d", n)
		}
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
	}
	return texttemplate.FuncMap{
		"repeat": func(n int, s string) (string, error) {
			if n < 0 || n*len(s) > maxRepeat || n > maxRepeat {
				return "", fmt.Errorf("repeat makes a text longer than %d bytes", maxRepeat)
			}
			return strings.Repeat(s, n), nil
		},
		"until": func(n int) ([]int, error) { return steps(0, n, sign(n)) },
		"untilStep": func(from, to, step int) ([]int, error) {
			if step > 0 && to <= from || step < 0 && to >= from || step == 0 {
				return []int{}, nil
			}
			return steps(from, to, step)
		},
		"seq": func(n ...int) (string, error) {
			from, step, to := 1, 1, 0
			switch len(n) {
			case 1:
				to = n[0]
				step = sign(to - from)
			case 2:
				from, to = n[0], n[1]
				step = sign(to - from)
			case 3:
				from, step, to = n[0], n[1], n[2]
			default:
				return "", nil
			}
			list, err := steps(from, to+sign(step), step)
			return strings.Trim(fmt.Sprint(list), "[]"), err
		},
		"indent": indent,
		"nindent": func(n int, s string) (string, error) {
			text, err := indent(n, s)
			return "\n" + text, err
		},

		"randAlphaNum": random("a1b2c3d4e5f6g7h8j9"),
		"randAlpha":    random("abcdefghjk"),
		"randNumeric":  random("1234567890"),
		"randAscii":    random("a1b2c3d4e5f6g7h8j9"),
		"randBytes":    random("YTFiMmMzZDRlNWY2"),
		"randInt":      func(low, _ int) int { return low },
		"uuidv4":       func() string { return "00000000-0000-4000-8000-000000000000" },

		"genPrivateKey":            func(...any) string { return fixedKey },
		"genCA":                    pair,
		"genCAWithKey":             pair,
		"genSelfSignedCert":        pair,
		"genSelfSignedCertWithKey": pair,
		"genSignedCert":            pair,
		"genSignedCertWithKey":     pair,
		"buildCustomCert":          pair,
		"derivePassword":           func(...any) string { return fixedHash },
		"htpasswd":                 func(user, _ string) string { return user + ":" + fixedHash },
		"bcrypt":                   func(string) string { return fixedHash },
	}
}

// The forms that a rule would see, without a secret in them.
const (
	fixedCertificate = "-----BEGIN CERTIFICATE-----\n(made when the chart is installed)\n-----END CERTIFICATE-----\n"
	fixedKey         = "-----BEGIN RSA PRIVATE KEY-----\nMADEWHENTHECHARTISINSTALLED\n-----END RSA PRIVATE KEY-----\n"
	fixedHash        = "$2a$10$000000000000000000000000000000000000000000000000000000"
)

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

// steps counts from the first number up to, and without, the last.
func steps(from, to, step int) ([]int, error) {
	list := []int{}
	if step == 0 {
		return list, nil
	}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if len(list) >= maxUntil {
			return nil, fmt.Errorf("a sequence of more than %d numbers", maxUntil)
		}
		list = append(list, i)
	}
	return list, nil
}
