package storage

import "strings"

// meaning is what the name of a setting says of its value.
type meaning int

const (
	// meansNothing: the value is no secret, as far as the name goes.
	meansNothing meaning = iota
	// meansMention: a word for a secret stands in the name, and what follows it
	// is not known to change its meaning (SECRET_SAUCE).
	meansMention
	// meansSomeKey: a key of an unknown kind (ROUTING_KEY).
	meansSomeKey
	// meansSecretOrItsName: SECRET, CREDENTIALS: the value, or a Secret's name.
	meansSecretOrItsName
	// meansKey: a key that must stay secret (API_KEY, SIGNING_KEY).
	meansKey
	// meansSecret: a token or a shared secret (ACCESS_TOKEN, CLIENT_SECRET).
	meansSecret
	// meansPassword: DB_PASSWORD, requirepass.
	meansPassword
)

// meaningOf judges the name of an environment variable, a flag, a key of a
// ConfigMap or a header, in any of their spellings: DB_PASSWORD, db.password,
// --db-password, dbPassword. The last words decide, as in English: a
// PASSWORD_FILE is a file.
func meaningOf(name string) meaning {
	if !mentions(name) {
		return meansNothing
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 && fileExtension[strings.ToLower(name[i+1:])] {
		return meansNothing // a document; its content was classified
	}
	words := wordsOf(name)
	for i, w := range words {
		if publicWord[w] || i == 0 && len(words) > 1 && decides[w] {
			return meansNothing
		}
	}
	for len(words) > 1 && qualifier[words[len(words)-1]] {
		words = words[:len(words)-1]
	}
	n := len(words)
	if n == 0 {
		return meansNothing
	}
	before := ""
	if n > 1 {
		before = words[n-2]
	}
	if m := headMeaning(words[n-1], before, words[0]); m != meansNothing {
		// Every member of an etcd cluster is given this; it guards nothing.
		if m == meansSecret && n > 2 && before == "cluster" && words[n-3] == "initial" {
			return meansNothing
		}
		return m
	}
	// No word after the one that mentions a secret may change its meaning.
	for i := n - 1; i >= 0; i-- {
		if aboutSecret[words[i]] || words[i] == "key" {
			return meansNothing
		}
		switch words[i] {
		case "password", "passwd", "secret", "token", "apikey":
			if i < n-1 { // the last word has been judged
				return meansMention
			}
		}
	}
	return meansNothing
}

// headMeaning is the meaning of a name's last word, given the one before it
// and the first.
func headMeaning(head, before, first string) meaning {
	switch head {
	case "password", "passwd", "passphrase", "pwd", "requirepass", "masterauth", "dbpass", "userpass", "smtppass":
		return meansPassword
	case "pass":
		if holderOfPass[before] {
			return meansPassword
		}
		return meansNothing
	case "token":
		return meansSecret
	case "secret":
		switch {
		case sharedSecret[before]:
			return meansSecret
		case namedSecret[before]:
			return meansNothing
		}
		return meansSecretOrItsName
	case "credential", "credentials", "creds", "bearer":
		return meansSecretOrItsName
	case "key":
		switch {
		case first == "minio" && before == "access": // the name of the user
			return meansNothing
		case first == "minio" && before == "secret": // the user's password
			return meansPassword
		case secretKey[before], first == "azure" || first == "aws" && before != "kms":
			return meansKey
		case before == "" || aboutSecret[before] || publicKey[before] || before == "password" || before == "token":
			return meansNothing
		}
		return meansSomeKey
	}
	for _, end := range [...]string{"password", "passwd", "passphrase"} {
		if strings.HasSuffix(head, end) {
			return meansPassword
		}
	}
	if kind, ok := strings.CutSuffix(head, "token"); ok && (sharedSecret[kind] || tokenKind[kind]) {
		return meansSecret
	}
	if kind, ok := strings.CutSuffix(head, "secret"); ok && sharedSecret[kind] {
		return meansSecret
	}
	if kind, ok := strings.CutSuffix(head, "key"); ok && secretKey[kind] {
		return meansKey
	}
	return meansNothing
}

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

var (
	// aboutSecret are words that, after a word for a secret, make the name one
	// of something about it.
	aboutSecret = set(
		"file", "files", "path", "paths", "dir", "directory", "folder", "mount", "volume", "location",
		"name", "names", "id", "ids", "ref", "refs", "reference", "label", "selector", "namespace", "kind", "type", "types", "class",
		"url", "uri", "urls", "endpoint", "endpoints", "host", "port", "address", "addr", "server", "service", "svc", "api", "domain",
		"enabled", "enable", "disabled", "disable", "required", "optional", "allowed", "supported", "support", "check", "checks",
		"length", "len", "min", "max", "size", "count", "limit", "limits", "minimum", "maximum", "num", "number", "total", "bytes", "bits",
		"ttl", "expiry", "expires", "expiration", "expire", "exp", "timeout", "lifetime", "lifespan", "age", "duration", "interval", "period", "validity",
		"seconds", "secs", "sec", "minutes", "hours", "days", "ms", "rotation", "refresh", "renewal", "renew", "retention",
		"policy", "policies", "rules", "rule", "regex", "pattern", "format", "encoding", "template", "prefix", "suffix", "mask", "placeholder",
		"algorithm", "alg", "algo", "cipher", "hash", "hashes", "salt", "rounds", "cost", "strength", "complexity",
		"issuer", "issuers", "audience", "audiences", "aud", "scope", "scopes", "claim", "claims", "subject", "signer",
		"header", "headers", "cookie", "field", "param", "parameter", "query", "column", "table", "attribute", "property", "var", "variable", "env",
		"provider", "providers", "manager", "store", "stores", "storage", "backend", "engine", "source", "vault", "driver", "plugin", "helper", "generator", "operator", "controller", "agent", "sync", "syncer",
		"method", "methods", "mode", "strategy", "flow", "grant", "auth", "authentication", "authenticator", "login", "user", "username", "owner", "group", "role", "client",
		"version", "versions", "config", "configuration", "settings", "options", "mapping", "map", "keys", "list", "index",
		"reset", "change", "update", "recovery", "hint", "prompt", "message", "description", "title", "text", "help", "email", "subjectline",
		"cache", "bucket", "queue", "topic", "exchange", "stream", "validation", "validator", "review", "reviewer", "exchanger", "exporter", "usage", "budget", "rate", "cert", "certificate", "ca", "crt")

	// publicWord are words that make a key or token one for everybody.
	publicWord = set("public", "publishable", "anon", "anonymous", "pub", "pubkey", "publickey", "csrf", "xsrf", "recaptcha")

	// decides are first words of names that hold a decision or a measure.
	decides = set("allow", "enable", "enabled", "disable", "disabled", "use", "uses", "require", "requires", "required", "skip", "no", "show", "hide",
		"is", "has", "force", "reset", "min", "max", "minimum", "maximum", "validate", "verify", "check", "num", "count", "without", "forbid", "ignore",
		"generate", "auto", "rotate", "random", "mount", "automount", "existing", "create")

	// qualifier are last words that say which or in what form, not what.
	qualifier = set("value", "base64", "b64", "base", "content", "contents", "data", "pem", "json", "raw", "plain", "plaintext", "string", "txt",
		"prod", "production", "dev", "development", "test", "testing", "staging", "stage", "qa",
		"default", "old", "new", "current", "previous", "primary", "secondary", "main", "backup", "1", "2", "3", "4", "5")

	// fileExtension are endings of keys of ConfigMaps that hold whole documents.
	fileExtension = set("yaml", "yml", "json", "conf", "cfg", "ini", "toml", "xml", "properties", "sh", "py", "js", "ts", "rb", "go", "lua", "sql", "md", "html", "css",
		"tpl", "tmpl", "gotmpl", "crt", "cer", "cert", "csr", "rules", "rego", "cue", "hcl", "tf", "csv", "list", "lst", "env", "service", "j2", "erb")

	// holderOfPass are words before PASS that make it a password.
	holderOfPass = set("db", "database", "user", "mysql", "mariadb", "pg", "postgres", "postgresql", "redis", "mongo", "mongodb", "rabbitmq", "amqp", "mq",
		"smtp", "mail", "email", "imap", "ldap", "bind", "admin", "root", "ftp", "sftp", "http", "basic", "auth", "login", "registry", "docker", "proxy", "ssh",
		"vnc", "api", "app", "service", "sql", "rpc", "key", "keystore", "truststore", "wp", "wordpress", "influxdb", "elastic", "neo4j", "oracle", "sa")

	// sharedSecret are words before SECRET that make it the value itself.
	sharedSecret = set("client", "app", "application", "shared", "jwt", "session", "cookie", "webhook", "oauth", "oauth2", "oidc", "hmac", "api", "auth", "consumer",
		"signing", "master", "token", "access", "encryption", "github", "gitlab", "slack", "stripe", "google", "facebook", "twitter", "hash", "csrf", "rpc", "turn", "admin", "user", "root", "secret", "nextauth")

	// namedSecret are words before SECRET after which a Secret's name is what
	// one expects.
	namedSecret = set("tls", "ssl", "pull", "config", "cert", "certificate", "ca", "ingress", "image", "registry", "docker", "mount", "kubernetes", "k8s", "kube", "existing", "volume",
		"issuer", "imagepull", "dockerconfig", "kubeconfig", "opaque", "from", "in", "per", "name", "helm", "sealed", "external", "no")

	// secretKey are words before KEY that make it one to keep secret.
	secretKey = set("api", "access", "secret", "private", "encryption", "encrypt", "encrypting", "decryption", "signing", "signature", "sign", "master", "account", "storage", "auth",
		"ssh", "session", "jwt", "hmac", "shared", "deploy", "license", "subscription", "symmetric", "aes", "fernet", "cookie", "crypto", "cipher", "webhook", "sas", "unseal", "gossip", "cli")

	// publicKey are words before KEY that make it no secret.
	publicKey = set("cache", "partition", "routing", "sort", "primary", "foreign", "index", "map", "lookup", "hash", "range", "label", "annotation", "topology", "object", "s3",
		"kms", "host", "known", "site", "sentry", "idempotency", "config", "configmap", "env", "context", "registry", "shift", "hot", "tls", "taint", "toleration", "node")

	// tokenKind are words that one finds written together with TOKEN.
	tokenKind = set("refresh", "bearer", "bot", "deploy", "id", "personal", "bootstrap", "join", "runner", "registration", "my")
)

// mentions spares nearly all names the closer look.
func mentions(name string) bool {
	for i := 0; i+2 < len(name); i++ {
		switch name[i] | 0x20 {
		case 'p': // pass, pwd
			if c := name[i+1] | 0x20; c == 'a' && name[i+2]|0x20 == 's' || c == 'w' && name[i+2]|0x20 == 'd' {
				return true
			}
		case 'c': // secret, credential, creds
			if c := name[i+1] | 0x20; c == 'r' && name[i+2]|0x20 == 'e' {
				return true
			}
		case 'k': // token, key
			if c := name[i+1] | 0x20; c == 'e' && (name[i+2]|0x20 == 'n' || name[i+2]|0x20 == 'y') {
				return true
			}
		case 'b': // bearer
			if c := name[i+1] | 0x20; c == 'e' && name[i+2]|0x20 == 'a' {
				return true
			}
		case 'r': // masterauth
			if c := name[i+1] | 0x20; c == 'a' && name[i+2]|0x20 == 'u' {
				return true
			}
		}
	}
	return false
}

// wordsOf splits a name into its words, in lower case: at every character that
// is no letter or digit, and where camelCase and HTTPServer change words.
func wordsOf(name string) []string {
	var words []string
	start := 0
	end := func(i int) {
		if i > start {
			word := strings.ToLower(name[start:i])
			// PASSWORD1 is a password; base64 and oauth2 are words of their own.
			if short := strings.TrimRight(word, "0123456789"); short != "" && !qualifier[word] && word != "oauth2" && word != "s3" {
				word = short
			}
			words = append(words, word)
		}
	}
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) && (c < '0' || c > '9') {
			end(i)
			start = i + 1
			continue
		}
		if i > start && isUpper(c) && (!isUpper(name[i-1]) || i+1 < len(name) && isLower(name[i+1])) {
			end(i)
			start = i
		}
	}
	end(len(name))
	return words
}

func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }
