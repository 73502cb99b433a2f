package storage

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

// encryption encrypts with a key in a file: whoever has a copy of etcd and not of the
// machine cannot read it.
const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  # The first provider writes. A key management service keeps the key off this machine, which a file does not:
  # - kms: {apiVersion: v2, name: kms, endpoint: "unix:///var/run/kmsplugin/socket.sock", timeout: 3s}
  - secretbox:
      keys:
      - name: key1
        secret: ` + bailey.KeyHere + `
  # Reads what was written before. Take it away once everything is written again, and nothing plain can be read.
  - identity: {}
`

var secretsEncrypted = settings.New(settings.Guard{
	Name:  "encryption-configuration",
	Title: "The API server encrypts Secrets and ConfigMaps before it stores them",
	Doc: `An EncryptionConfiguration with secretbox (XSalsa20 and Poly1305) first and plain text last, to read what is there
until it is written again; and the flag by which the API server reads the file again when it changes. The key is no
part of any plan: it is made into the file, which only its owner can read, when that is asked for, or put there by you.
Where the API server has such a file nothing is planned in its place: what its keys encrypted would be lost. If a scan
of the machine has read it, without its keys, the plan says what is wrong with it; the experiment reads what is
stored.`,
	Tried: []*bailey.Experiment{storedEncrypted},
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: func(seen *bailey.Component, _ bailey.Version) []settings.Want {
		reload := settings.Flag("encryption-provider-config-automatic-reload", "true", "A key is changed without a restart.")
		if seen != nil && seen.Flags["encryption-provider-config"] != "" {
			return []settings.Want{encryptionThere(seen), reload}
		}
		return []settings.Want{{Setting: bailey.Setting{Flag: "encryption-provider-config", Value: bailey.SettingsFolder + "/encryption.yaml",
			File: &bailey.SettingFile{Name: "encryption.yaml", Text: encryption},
			Why:  "Secrets lie in etcd, and in its backups, as plain text otherwise (CIS 1.2.27).",
			Note: "if there is such a file already, add this provider to it, before its others: what their keys encrypted can be read with them alone"}}, reload}
	}}},
})

// encryptionThere is the want of an API server that has an EncryptionConfiguration. It stays:
// what its keys encrypted can be read with them alone.
func encryptionThere(c *bailey.Component) settings.Want {
	there := settings.DocumentOf(c, "encryption-provider-config")
	w := settings.Want{Setting: bailey.Setting{Flag: "encryption-provider-config",
		Why: "Secrets lie in etcd, and in its backups, as plain text otherwise (CIS 1.2.27)."}, Look: true}
	const stored = "the experiment stored-encrypted reads what is in etcd"
	if there.Content == nil {
		w.Note = "the file that it names, " + there.Path + ", was not seen, and `bailey scan host` on its machine reads it; " + stored
		w.Holds = func(*bailey.Component) bool { return false }
		return w
	}
	faults := encryptionFaults(encryptionOf(c))
	w.Holds = func(*bailey.Component) bool { return len(faults) == 0 }
	if len(faults) == 0 {
		w.Note = "an API server has a file that encrypts both, " + there.Path + ": give it, with its keys, to the others"
		return w
	}
	w.Note = "the file that it names, " + there.Path + ", " + strings.Join(faults, ", ") +
		": put a provider of another kind before its others, and leave these, which read what they wrote; " + stored
	return w
}

// encryptionFaults says what is wrong with how Secrets and ConfigMaps are written.
func encryptionFaults(all []stored) []string {
	var faults []string
	for _, resource := range []string{"secrets", "configmaps"} {
		// The first entry that is about a resource counts, and its first provider writes.
		i := slices.IndexFunc(all, func(s stored) bool { return s.covers(resource) })
		switch {
		case i < 0 || len(all[i].providers) == 0:
			faults = append(faults, "leaves "+resource+" out")
		case all[i].providers[0] == "identity":
			faults = append(faults, "writes "+resource+" as plain text")
		case all[i].providers[0] == "aescbc" || all[i].providers[0] == "aesgcm":
			faults = append(faults, "encrypts "+resource+" by "+all[i].providers[0])
		case all[i].oldKMS != "":
			faults = append(faults, "encrypts "+resource+" by the KMS v1 provider "+all[i].oldKMS)
		}
	}
	return faults
}
