package storage

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var apiEncryptionRules = []*bailey.Rule{notEncrypted, plainFirst, secretsLeftOut, oldCipher, oldKMS}

var encrypting = ref.Kubernetes("tasks/administer-cluster/encrypt-data/", "Encrypting Confidential Data at Rest")

var notEncrypted = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "not-encrypted",
	Title: "Secrets are stored as plain text",
	Doc: `Without --encryption-provider-config the API server writes every Secret as it is: whoever gets a copy of etcd, of its
disk or of a backup has them all. Encryption of the disk does not cover backups and snapshots of etcd.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.27", "Secrets are encrypted before they are stored"), encrypting, ref.ATTACK("T1552")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["encryption-provider-config"] != "" {
		return nil
	}
	return settings.One("--encryption-provider-config", " stores Secrets as plain text")
}, "flags: {secure-port: '6443'}")

// stored is one entry of an EncryptionConfiguration: what it is about, and the providers in
// their order. The first writes.
type stored struct {
	resources, providers []string
	oldKMS               string // the name of a KMS v1 provider that writes
}

// encryptionOf reads the file that an API server names; nil where it was not read.
func encryptionOf(c *bailey.Component) []stored {
	list, _ := settings.Field(c.Files["encryption-provider-config"], "resources").([]any)
	var all []stored
	for _, entry := range list {
		m, _ := entry.(map[string]any)
		var s stored
		resources, _ := m["resources"].([]any)
		for _, r := range resources {
			if name, ok := r.(string); ok {
				s.resources = append(s.resources, name)
			}
		}
		providers, _ := m["providers"].([]any)
		for i, p := range providers {
			for name, provider := range settings.Map(p) {
				s.providers = append(s.providers, name)
				if i == 0 && name == "kms" && settings.Map(provider)["apiVersion"] != "v2" {
					s.oldKMS, _ = settings.Map(provider)["name"].(string)
				}
			}
		}
		all = append(all, s)
	}
	return all
}

// covers reports whether an entry is about a resource: by its name, or by a pattern.
func (s *stored) covers(resource string) bool {
	return slices.Contains(s.resources, resource) || slices.Contains(s.resources, "*.") || slices.Contains(s.resources, "*.*")
}

const encryptionFile = "flags: {encryption-provider-config: /x}\nfiles: {encryption-provider-config: {resources: [{resources: [%s], providers: [%s]}]}}"

func encryptionBad(resources, providers string) string {
	return strings.Replace(strings.Replace(encryptionFile, "%s", resources, 1), "%s", providers, 1)
}

var plainFirst = settings.Reading("encryption-provider-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "plain-text-first",
	Title: "The encryption configuration writes Secrets as plain text",
	Doc: `The first provider of the list writes, and the others only read. With identity first nothing new is encrypted. The rule
needs the file, which is read on the machine (bailey scan host).`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.28", "What encrypts is strong"), encrypting},
}, func(c *bailey.Component) []settings.Fault {
	for _, s := range encryptionOf(c) {
		if s.covers("secrets") {
			if len(s.providers) > 0 && s.providers[0] == "identity" {
				return settings.One("--encryption-provider-config", " writes Secrets as plain text: identity is the first provider")
			}
			return nil // the first entry that is about Secrets counts
		}
	}
	return nil
}, encryptionBad("secrets", "{identity: {}}, {secretbox: {}}")))

var secretsLeftOut = settings.Reading("encryption-provider-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "secrets-left-out",
	Title: "The encryption configuration leaves Secrets out",
	Doc: `The file encrypts other resources, and not Secrets. The rule needs the file, which is read on the machine
(bailey scan host).`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.27", "Secrets are encrypted before they are stored"), encrypting},
}, func(c *bailey.Component) []settings.Fault {
	all := encryptionOf(c)
	if len(all) == 0 || slices.ContainsFunc(all, func(s stored) bool { return s.covers("secrets") }) {
		return nil
	}
	return settings.One("--encryption-provider-config", " encrypts other resources and not Secrets")
}, encryptionBad("configmaps", "{secretbox: {}}")))

var oldCipher = settings.Reading("encryption-provider-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "weak-provider",
	Title: "Secrets are encrypted by a provider that has better successors",
	Doc: `aescbc does not notice a changed text and was attacked by padding oracles; aesgcm with a key in a file must be given a
new key every 200,000 writes, by hand. secretbox has neither trouble, and KMS v2 keeps the key elsewhere.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.2.28", "What encrypts is strong"), encrypting, ref.NIST("SC-13")},
}, func(c *bailey.Component) []settings.Fault {
	for _, s := range encryptionOf(c) {
		if !s.covers("secrets") {
			continue
		}
		if len(s.providers) > 0 && (s.providers[0] == "aescbc" || s.providers[0] == "aesgcm") {
			return settings.One("--encryption-provider-config", " encrypts Secrets by "+s.providers[0])
		}
		return nil
	}
	return nil
}, encryptionBad("secrets", "{aescbc: {}}, {identity: {}}")))

var oldKMS = settings.Reading("encryption-provider-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "kms-v1",
	Title: "Secrets are encrypted by KMS v1",
	Doc: `KMS v1 is deprecated since 1.28 and off since 1.29: it asks the key service for every Secret, cannot tell that a key
was changed, and shows no health. Use apiVersion v2.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.Kubernetes("tasks/administer-cluster/kms-provider/", "Using a KMS provider for data encryption")},
}, func(c *bailey.Component) []settings.Fault {
	// The first entry that is about Secrets counts, and its first provider writes; others read
	// what was written before.
	all := encryptionOf(c)
	i := slices.IndexFunc(all, func(s stored) bool { return s.covers("secrets") })
	if i < 0 || all[i].oldKMS == "" {
		return nil
	}
	return settings.One("--encryption-provider-config", " encrypts Secrets by the KMS v1 provider "+all[i].oldKMS)
}, encryptionBad("secrets", "{kms: {name: old, endpoint: 'unix:///x'}}")))
