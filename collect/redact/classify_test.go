package redact

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// Credentials are put together here so that no scanner of repositories takes
// them for real ones.
var (
	body      = "9fK2mQ7xVb4LpZ8sRt1WcY6nHj3G"
	aws       = "AKIA" + "Q3EGRZ7KLMN2PXTV"
	github    = "ghp_" + "9fK2mQ7xVb4LpZ8sRt1WcY6nHj3GdE0aUiOw"
	jwtHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`))
	jwt       = jwtHeader + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dGhpc2lzbm90YXNpZ25hdHVyZQ"
	keyBody   = "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSi\nAgEAAoIBAQC7VJTUt9Us8cKj"
	dsn       = "postgres://shop:" + "hunter2@db:5432/shop"
)

func pem(label string) string {
	return "-----BEGIN " + label + "-----\n" + keyBody + "\n-----END " + label + "-----\n"
}

func TestClassify(t *testing.T) {
	tests := []struct {
		class  bailey.Class
		values []string
	}{
		{bailey.ClassEmpty, []string{"", "  ", "\n"}},
		{bailey.ClassBoolean, []string{"true", "False", "YES", "off", "enabled"}},
		{bailey.ClassNumber, []string{
			"0", "8080", "-1", "3.14", "1e6", "500m", "64Mi", "10GB", "95%", "30s", "1h30m", "1.2.3", "v1.37.0-rc.1", "10.0.0.0/8", "192.168.1.1",
			"fd00::1", "0x1f", "1,2,3", "2026-11-23", "10:30",
		}},
		{bailey.ClassReference, []string{"$(PASSWORD)", "${DB_PASSWORD}", "$HOME", "{{ .Values.password }}", "postgres://shop:$(PASSWORD)@db/shop", "prefix-${NAME}"}},
		{bailey.ClassPath, []string{"/etc/passwd", "./config", "../x.yaml", "config.yaml", "templates/service.yaml", `C:\Windows`, "registry.example.com/shop/web:1.2", "nginx@sha256:" + strings.Repeat("a1", 32)}},
		{bailey.ClassURL, []string{"https://example.com/x?y=z", "redis:6379", "db-0.db:5432,db-1.db:5432", "redis.default.svc.cluster.local:6379", "api.example.com", "http://user@example.com/", "[::1]:80", ":8080"}},
		{bailey.ClassWord, []string{"production", "inserted", "EU_WEST_A", "EU_WEST_KEY1", "eu-west-1", "hunter2", "INFO", "rewriteAppHTTPProbers", "my-service-name-with-many-parts-v2", "io.k8s.SomeVeryLongClassNameImplementation", "KubePersistentVolumeInodesFillingUp"}},
		{bailey.ClassText, []string{"hello world", "a: b\nc: d\n", "select * from users", "password: the password of the user", "{\"a\": 1}", "|"}},
		{bailey.ClassPlaceholder, []string{"changeme", "CHANGE_ME", "<password>", "xxx", "XXXXXXXX", "****", "REPLACE_ME", "todo", "your-password-here", "example-key", "__TOKEN__", "INSERT_ETCD_DISCOVERY_TOKEN", "insert-token", "GOOGLE_API_KEY_VAL", "MY_DB_PASSWORD", "AKIAIOSFODNN7" + "EXAMPLE"}},
		{bailey.ClassOpaque, []string{body, "kJ8#mN2$pQ5!vX9zL4w", base64.StdEncoding.EncodeToString([]byte("some raw key bytes \x01\x02\x03 0123456")), "8312341g-5678-abcd-4a2b2c-33bcsd655"}},
		{bailey.ClassHash, []string{
			strings.Repeat("d4", 16), strings.Repeat("0f", 20), strings.Repeat("9e", 32), "sha256:" + strings.Repeat("9e", 32),
			"123e4567-e89b-12d3-a456-426614174000", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$6$rounds=5000$saltsalt$hashhash", "$argon2id$v=19$m=65536,t=3",
		}},
		{bailey.ClassPublicKey, []string{pem("CERTIFICATE"), pem("PUBLIC KEY"), "ssh-rsa AAAAB3NzaC1yc2E me@host", base64.StdEncoding.EncodeToString([]byte(pem("CERTIFICATE")))}},
		{bailey.ClassPrivateKey, []string{
			pem("PRIVATE KEY"), pem("RSA PRIVATE KEY"), pem("EC PRIVATE KEY"), pem("OPENSSH PRIVATE KEY"), pem("ENCRYPTED PRIVATE KEY"),
			"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" + keyBody,
			"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n" + keyBody,
			`{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBgkqhkiG9w0BAQ\n"}`,
			"users:\n- user:\n    client-key-data: " + base64.StdEncoding.EncodeToString([]byte(pem("EC PRIVATE KEY"))),
			pem("CERTIFICATE") + pem("PRIVATE KEY"),
			"AGE-SECRET-KEY-1" + strings.Repeat("Q3EGRZ7K", 8),
		}},
		{bailey.ClassToken, []string{
			aws, github, jwt, "Authorization: Bearer " + body, "token=" + github, "export TOKEN=" + jwt,
			"xoxb-" + "123456789012-abcdefABCDEF", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "glpat-" + "x9Kd83mZpQw7Lr2vTn5b",
			"AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "npm_" + "9fK2mQ7xVb4LpZ8sRt1WcY6nHj3GdE0aUiOw",
			"SG." + "aaaaaaaaaaaaaaaaaaaaa1" + "." + strings.Repeat("b", 42) + "2", "github_pat_" + strings.Repeat("a1", 41),
			"https://hooks.slack.com/services/T0000A1B2" + "/B0000A1B2/9fK2mQ7xVb4LpZ8sRt1WcY6n",
			"url: https://example.com/?t=" + jwt,
		}},
		{bailey.ClassURLCredential, []string{
			dsn, "see " + dsn + " for it", "amqp://guest:gu3st@mq/", "https://:s3cret@example.com", "https://bot:" + "p@ss:word@example.com/x",
			"shop:hunter2@tcp(db:3306)/shop", "[uri]\nx = redis://:abc123@redis:6379/0\n",
		}},
		{bailey.ClassPassword, []string{
			"password=hunter2", "db.password = hunter2", `{"user":"x","password":"hunter2"}`, "user: shop\npassword: hunter2\n", "PGPASSWORD=hunter2 psql -h db",
			`{"client_secret": "9fK2mQ7xVb4LpZ8s"}`, "host=db user=shop password=hunter2 dbname=shop", "mysqldump --password=hunter2 shop", "mysql --password hunter2 shop",
			`<property name="connection.password">hunter2</property>`, "jdbc:mysql://db/shop?user=shop&password=hunter2",
			`{"auths":{"registry":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("bot:hunter22")) + `"}}}`,
			`{\"password\":\"hunter2\"}`, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("bot:hunter22")),
			"requirepass ok\nmasterpasswd: \"it is secret\"\n",
		}},
	}
	for _, test := range tests {
		for _, value := range test.values {
			got := Classify(value)
			if test.class == bailey.ClassPassword && got == bailey.ClassToken && strings.Contains(value, "Basic") {
				continue // both are right
			}
			if got != test.class {
				t.Errorf("Classify(%q) = %s, want %s", value, got, test.class)
			}
		}
	}
}

// What merely speaks of credentials, or leaves their place open, is none.
func TestNoFalseAlarm(t *testing.T) {
	values := []string{
		"password=$(PASSWORD)", "password=${PASSWORD}", "password: {{ .Values.password }}", "password=", "password: \"\"", "password: null", "password=/run/secrets/db",
		"password_file=/run/secrets/db", "passwordSecretRef: shop-db", "password: changeme", "password: <password>", "password: ********", "password=%s", "password=xxxxx",
		"require_password=true", "min-password-length=8", "password: the password to use", "# password=hunter2", "; password = admin", "// password: hunter2",
		"password=os.environ['DB_PASSWORD']", "password = getpass()", "connect(password=password)", "password: config.password", "if password == nil {", "password != ''",
		`{"password": {"type": "string", "description": "the password"}}`, "secret: shop-tls", "secretName: shop-tls", "token: https://issuer/token", "token_url=https://x/token",
		"tokenReview: true", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop\n", "--token-ttl=1h", "imagePullSecret: registry", "clientSecretRef: oidc",
		"postgres://shop:$(PASSWORD)@db/shop", "postgres://shop:${PASSWORD}@db/shop", "postgres://USER:PASSWORD@db/shop", "https://<user>:<password>@host/", "postgres://shop:{{ .Password }}@db",
		"https://user@host/", "http://host:8080/a@b", "ssh://git@example.com:22/x", "https://example.com/a:b@c", "http://a,http://b:80/@x",
		"-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\n<your key>\n", "-----BEGIN PRIVATE KEY-----{{ .Key }}", "put it between -----BEGIN PRIVATE KEY----- and the end",
		"AKIA", "AKIAIOSFODNN7" + "EXAMPLE", "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx", "eyJ.eyJ.x", "a.b.c", "ghp_" + strings.Repeat("x", 36), "xoxb-your-token-goes-in-here", "npm_install_all_packages_from_registry1",
		"Bearer token", "Bearer ${TOKEN}", "Basic usage", "Authorization: Basic <credentials>", "key: value", "keyPassphraseFrom: env", "author: someone", "auth: oauth2", "hashedPassword: $2a$10$abc",
		"curl -H \"Authorization: Bearer $(cat /var/run/token)\" https://host", "sessionToken: \"\"", "enable-secret=true", "pwd=$(pwd)", "PWD=/app", "OLDPWD=/", "cd $OLDPWD", "tokens: 5",
	}
	for _, value := range values {
		if class := Classify(value); class.IsCredential() {
			t.Errorf("Classify(%q) = %s", value, class)
		}
	}
}

func TestLargeValue(t *testing.T) {
	filler := strings.Repeat("key = value\n", Limit/12+1)
	if got := Classify(filler + dsn); got.IsCredential() {
		t.Errorf("a credential behind the first %d bytes was looked at", Limit)
	}
	if got := Classify(filler[:Limit-1024] + "\n" + dsn); got != bailey.ClassURLCredential {
		t.Errorf("a credential at the end of what is looked at is %s", got)
	}
	// Each of these makes a careless scanner start again at every byte.
	for _, part := range []string{"-----BEGIN ", "://", "password", "password=", "a:", "eyJ.", "Bearer ", "<password>", "LS0tLS1CRUdJTi", "@tcp(", "\"", " ", "$(", "auth=", "<<", "key ", "--x "} {
		start := time.Now()
		Classify(strings.Repeat(part, Limit/len(part)))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%d bytes of %q took %v", Limit, part, took)
		}
	}
}

func TestValueTwice(t *testing.T) {
	for _, value := range []string{"hunter2", dsn, "", "true"} {
		once := Value(value)
		if twice := Value(once); twice != once {
			t.Errorf("%q became %q, then %q", value, once, twice)
		}
	}
	if got := Value("‹bailey:my own words›"); strings.Contains(got, "own") {
		t.Errorf("a value that looks like a class was kept: %q", got)
	}
}

func FuzzClassify(f *testing.F) {
	for _, seed := range []string{dsn, jwt, aws, pem("RSA PRIVATE KEY"), "password: hunter2", "a=b", "<password>x</password>", `{"auth":"YTpi"}`, "‹bailey:word›", "shop:pw@tcp(db)", "1h30m", "--x=y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		class := Classify(value)
		if kept, found := bailey.ClassOf(Value(value)); !found && value != "" || value != "" && kept != class {
			t.Errorf("Value(%q) = %q, class %s", value, Value(value), class)
		}
		for _, arg := range []string{value, "--x=" + value} {
			_ = argument(arg)
		}
		if got := Credential(value); got != value && !class.IsCredential() {
			t.Errorf("Credential(%q) = %q", value, got)
		}
	})
}
