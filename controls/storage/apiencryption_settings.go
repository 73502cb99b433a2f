package storage

import (
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
Where the API server has such a file its content is not seen, and nothing is planned in its place: what its keys
encrypted would be lost. The experiment reads what is stored.`,
	Tried: []*bailey.Experiment{storedEncrypted},
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: func(seen *bailey.Component, _ bailey.Version) []settings.Want {
		reload := settings.Flag("encryption-provider-config-automatic-reload", "true", "A key is changed without a restart.")
		if seen != nil && seen.Flags["encryption-provider-config"] != "" {
			return []settings.Want{{Setting: bailey.Setting{Flag: "encryption-provider-config",
				Why:  "Secrets lie in etcd, and in its backups, as plain text otherwise (CIS 1.2.27).",
				Note: "the file that it names was not seen: the experiment stored-encrypted reads what is in etcd"},
				Holds: func(*bailey.Component) bool { return false }, Look: true}, reload}
		}
		return []settings.Want{{Setting: bailey.Setting{Flag: "encryption-provider-config", Value: bailey.SettingsFolder + "/encryption.yaml",
			File: &bailey.SettingFile{Name: "encryption.yaml", Text: encryption},
			Why:  "Secrets lie in etcd, and in its backups, as plain text otherwise (CIS 1.2.27).",
			Note: "if there is such a file already, add this provider to it, before its others: what their keys encrypted can be read with them alone"}}, reload}
	}}},
})
