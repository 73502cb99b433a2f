package storage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

const kindSecret bailey.Kind = "Secret"

var secretInFolder = &bailey.Rule{
	Name:  "secret-in-folder",
	Title: "Secret is written out in a file",
	Doc: `Reads the type of Secrets in files and the names of their keys: a type that holds a credential (basic
authentication, SSH, TLS, registry logins), or a key that is named like one. Base64 is no encryption: whoever
may read the folder, or the history of its repository, reads the secret.

The values are not read, so a placeholder cannot be told from a secret. A Secret whose keys say nothing
(config.yaml) is not found. Sealed and external Secrets are of other kinds, and are not found either.

A cluster's Secrets are never read with their keys; there this rule has nothing to find.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{secretPractice, hardcoded, ref.ATTACK("T1552.001")},
	On:       []bailey.Kind{kindSecret},

	FilesOnly: true,
	Check:     checkSecretInFolder,
	Bad: []string{`apiVersion: v1
kind: Secret
metadata: {name: bad}
stringData: {password: Fake-hunter2}
`, `apiVersion: v1
kind: Secret
metadata: {name: bad}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: e30=}
`},
}

func checkSecretInFolder(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	s, ok := bailey.As[*corev1.Secret](f)
	if !ok {
		return nil
	}
	var keys []string
	for key := range s.Data {
		if holdsCredential(s.Type, key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	noun := "key "
	if len(keys) > 1 {
		noun = "keys "
	}
	return []bailey.Finding{{Field: "data", Message: "writes out " + noun + strings.Join(keys, ", ")}}
}

// holdsCredential reports whether the key of a Secret of the type is for one.
func holdsCredential(t corev1.SecretType, key string) bool {
	switch t {
	case corev1.SecretTypeBasicAuth:
		return key == corev1.BasicAuthPasswordKey
	case corev1.SecretTypeTLS:
		return key == corev1.TLSPrivateKeyKey
	case corev1.SecretTypeSSHAuth:
		return key == corev1.SSHAuthPrivateKey
	case corev1.SecretTypeDockercfg, corev1.SecretTypeDockerConfigJson:
		return true
	case corev1.SecretTypeBootstrapToken:
		return key == "token-secret"
	case corev1.SecretTypeServiceAccountToken:
		return key == corev1.ServiceAccountTokenKey
	}
	return meaningOf(key) >= meansSecretOrItsName || strings.HasSuffix(key, ".key") || key == "id_rsa" || key == "id_ed25519" || key == "id_ecdsa"
}
