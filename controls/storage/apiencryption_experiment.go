package storage

import (
	"time"

	"github.com/baileyhq/bailey"
)

// storedEncrypted reads what lies in the storage, past the API server.
var storedEncrypted = &bailey.Experiment{
	Name:  "stored-encrypted",
	Title: "Every stored Secret is encrypted, all under one key",
	Doc: `Reads, in etcd itself or in a snapshot of it, the encryption prefix of every Secret's newest value. Each must
name the key that the newest of them was written with. Before that it makes sure that the storage is this
cluster's and is read as it lies there: the namespace kube-system must be stored with its UID, or, where
namespaces are encrypted too, with its last change at the revision that the API server gives.

Only the names of keys and of objects leave the storage. What a value holds is dropped as it is read.

It does not show that the cipher text is sound, nor that a key is kept well. A key that was made current after
the last Secret was written is not seen, and what etcd still keeps of older revisions is not judged.

A snapshot shows the moment at which it was made: its evidence is as old as the newest Lease in it, and however
often it is read it is one try. Sixteen snapshots of different moments within the window prove what etcd itself
proves by sixteen readings. Where Leases are encrypted too, a snapshot has no age and shows nothing.`,
	Hypothesis: "every Secret in the storage is encrypted, all under one key",
	Danger:     bailey.DangerNone,
	Technique:  "T1552",
	Scope:      bailey.ScopeCluster,
	Window:     7 * 24 * time.Hour,
	Places:     []bailey.Place{bailey.PlaceEtcd},
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		return []bailey.Probe{{
			Name: "read the Secrets in the storage",
			Path: "storage",
			Setup: []bailey.Step{{
				Request: &bailey.Request{Verb: "get", APIVersion: "v1", Resource: "namespaces", Name: "kube-system"},
				Bind:    map[string]string{"uid": "metadata.uid", "revision": "metadata.resourceVersion"},
			}},
			Twin: bailey.Step{Etcd: &bailey.Etcd{Prefix: "/registry/namespaces/kube-system", Holds: "${uid}", Revision: "${revision}"}},
			Try: bailey.Step{
				Etcd:     &bailey.Etcd{Prefix: "/registry/secrets/"},
				Refusers: []bailey.Refuser{bailey.RefuserEncryption},
			},
		}}
	},
}
