package devcluster

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// PodSecurity is the cluster-wide configuration of the Pod Security admission plugin.
// A level is privileged (if empty), baseline or restricted; a namespace's labels
// replace it.
type PodSecurity struct {
	Enforce, Audit, Warn string

	// Whom it does not look at.
	ExemptUsers, ExemptRuntimeClasses, ExemptNamespaces []string
}

// auditPolicy keeps who did what: writes with their request, reads and whatever
// carries credentials without any content, and nothing of the components' own
// watching and renewing.
//
//go:embed audit-policy.yaml
var auditPolicy string

// writeConfig writes the API server's configuration files into dir. All of them are
// JSON, which YAML includes. The encryption key is kept if it is there, or nothing in
// etcd could be read again.
func writeConfig(dir string, o Options) error {
	audit := o.AuditPolicy
	if audit == "" {
		audit = auditPolicy
	}
	if err := writeFile(filepath.Join(dir, "audit-policy.yaml"), []byte(audit)); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, "admission.yaml"), o.PodSecurity.admission()); err != nil {
		return err
	}
	encryption := filepath.Join(dir, "encryption.yaml")
	if _, err := os.Stat(encryption); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return writeJSON(encryption, object{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "EncryptionConfiguration",
		"resources": []object{{
			"resources": []string{"secrets"},
			"providers": []object{
				{"aescbc": object{"keys": []object{{"name": "key1", "secret": base64.StdEncoding.EncodeToString(key)}}}},
				{"identity": object{}},
			},
		}},
	})
}

// object is a JSON object.
type object = map[string]any

func (p PodSecurity) admission() object {
	level := func(s string) string {
		if s == "" {
			return "privileged"
		}
		return s
	}
	list := func(s []string) []string { return append([]string{}, s...) } // [] rather than null
	return object{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AdmissionConfiguration",
		"plugins": []object{{
			"name": "PodSecurity",
			"configuration": object{
				"apiVersion": "pod-security.admission.config.k8s.io/v1",
				"kind":       "PodSecurityConfiguration",
				"defaults": object{
					"enforce": level(p.Enforce), "enforce-version": "latest",
					"audit": level(p.Audit), "audit-version": "latest",
					"warn": level(p.Warn), "warn-version": "latest",
				},
				"exemptions": object{
					"usernames":      list(p.ExemptUsers),
					"runtimeClasses": list(p.ExemptRuntimeClasses),
					"namespaces":     list(p.ExemptNamespaces),
				},
			},
		}},
	}
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}
