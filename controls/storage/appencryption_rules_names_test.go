package storage

import (
	"slices"
	"testing"
)

func TestMeaningOf(t *testing.T) {
	for m, names := range map[meaning][]string{
		meansPassword: {"PASSWORD", "password", "DB_PASSWORD", "db.password", "dbPassword", "db-password", "MYSQL_PWD", "PGPASSWORD", "GF_SECURITY_ADMIN_PASSWORD",
			"PASSWORD_PROD", "PASSWORD1", "REDIS_PASS", "smtp-pass", "requirepass", "masterauth", "sslKeyPassphrase", "ROOT_PASSWD", "MINIO_SECRET_KEY", "spring.datasource.password", "PASSWORD_BASE64"},
		meansSecret: {"TOKEN", "GITHUB_TOKEN", "accessToken", "OAUTH_CLIENT_SECRET", "clientSecret", "clientsecret", "JWT_SECRET", "NEXTAUTH_SECRET", "BOOTSTRAP_TOKEN",
			"bot_token", "authtoken", "K3S_TOKEN", "VAULT_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WEBHOOK_SECRET"},
		meansKey: {"API_KEY", "apiKey", "APIKey", "apikey", "X-Api-Key", "AWS_SECRET_ACCESS_KEY", "SECRET_KEY", "SECRET_KEY_BASE", "PRIVATE_KEY", "ENCRYPTION_KEY", "AZURE_BATCH_KEY",
			"OCI_CLI_KEY_CONTENT", "S3_ACCESS_KEY", "AccountKey", "signing-key", "secretkey"},
		meansSecretOrItsName: {"SECRET", "APP_CREDENTIALS", "secret", "PAYMENT_SECRET", "CREDS"},
		meansSomeKey:         {"STRIPE_KEY", "MAPS_KEY"},
		meansMention:         {"SECRET_BLAH", "TOKEN_FOO", "PASSWORD_SAUCE"},
		meansNothing: {"", "KEY", "MINIO_ACCESS_KEY", "HOST", "PORT", "LOG_LEVEL", "COMPASS", "BYPASS", "PASSENGERS", "KEYBOARD", "MONKEY", "TOKENIZER", "TOKENS", "MAX_TOKENS", "SECRETS_DIR",
			"PASSWORD_FILE", "POSTGRES_PASSWORD_FILE", "ARCHIVE_PASSWORD_FILE", "TOKEN_PATH", "SECRET_NAME", "secretName", "TOKEN_URL", "TOKEN_ENDPOINT", "AWS_ACCESS_KEY_ID", "KEY_ID",
			"PASSWORD_MIN_LENGTH", "PASSWORD_POLICY", "TOKEN_TTL_SECONDS", "TOKEN_EXPIRY", "tokenLifetime", "TOKEN_ISSUER", "TOKEN_AUDIENCE", "PUBLIC_KEY", "NEXT_PUBLIC_API_KEY", "SUPABASE_ANON_KEY",
			"KEY_PREFIX", "CACHE_KEY", "SORT_KEY", "tlsSecret", "IMAGE_PULL_SECRET", "ENABLE_TOKEN", "USE_PASSWORD", "ALLOW_EMPTY_PASSWORD", "requirePassword", "ETCD_INITIAL_CLUSTER_TOKEN",
			"initial-cluster-token", "CSRF_TOKEN_HEADER", "PASSWORD_RESET_URL", "token-review.py", "secret.yaml", "passwords.conf", "default-server-tls-secret", "password-file", "tls-private-key-file",
			"token-auth-file", "service-account-key-file", "PASSWORD_HASH", "ssh-keygen-args", "ROTATE_TOKEN", "TOKEN_TYPE", "token_cache_size", "NUM_KEYS", "password_encryption_algorithm",
			"SECRET_STORE", "authentication-token-webhook-cache-ttl", "TLS_KEY", "KMS_KEY", "AWS_KMS_KEY", "CERT_SECRET", "PASSWORD_KEY", "TOKEN_KEY", "tls.crt", "ca.crt", "keys.json", "PARTITION_KEY"},
	} {
		for _, name := range names {
			if got := meaningOf(name); got != m {
				t.Errorf("meaningOf(%q) = %d, want %d", name, got, m)
			}
		}
	}
}

func TestWordsOf(t *testing.T) {
	for name, want := range map[string][]string{
		"DB_PASSWORD":     {"db", "password"},
		"--db-password":   {"db", "password"},
		"dbPassword":      {"db", "password"},
		"HTTPServerToken": {"http", "server", "token"},
		"APIKey2":         {"api", "key"},
		"a.b/c":           {"a", "b", "c"},
		"base64":          {"base64"},
		"__":              nil,
		"":                nil,
		"é_TOKEN":         {"token"},
	} {
		if got := wordsOf(name); !slices.Equal(got, want) {
			t.Errorf("wordsOf(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestMeaningOfAllocatesNothingForOrdinaryNames(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range []string{"PORT", "LISTEN_ADDR", "DISABLE_PROFILER", "PRODUCT_CATALOG_SERVICE_ADDR"} {
			meaningOf(name)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMeaningOf: no name, whatever its bytes, makes the judgement fail, and
// dashes in front, which flags have, do not change it.
func FuzzMeaningOf(f *testing.F) {
	for _, seed := range []string{"DB_PASSWORD", "a.b", "APIKey2", "é_TOKEN", "--x", "SECRET_KEY_BASE", "..", "password."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, dashed := meaningOf(name), meaningOf("--"+name); got != dashed {
			t.Errorf("meaningOf(%q) = %d, with dashes %d", name, got, dashed)
		}
	})
}
