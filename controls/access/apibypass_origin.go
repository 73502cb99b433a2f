package access

import (
	"github.com/baileyhq/bailey"
)

var directWriteTold = &bailey.Experiment{
	Name:  "direct-write-told",
	Title: "An object that was written past the API server is told from the others",
	Doc: `In a namespace of its own Bailey writes an empty ConfigMap straight into etcd, with the certificates that it was
given, under a UID of its own choice. The API server serves it like every other. Then the audit log is asked where it
came from: the log must cover that moment, record that ConfigMaps are made, and hold no request that made this one. The
twin is a ConfigMap that is made by a request, for which the log must hold it. Each is written anew for each try,
removed again through the API server, and in the journal before it is written.

Nothing is written unless etcd holds the namespace that was just made, and ConfigMaps lie there in plain text: one that
the API server cannot decrypt could neither be read nor removed. A run against a snapshot shows nothing.

A log in which somebody wrote such a request breaks it, and so does a forwarder that makes one up. Where the audit
policy leaves ConfigMaps out, or the log is that of one API server of several, nothing is learned. It shows that the
log is good enough to tell such objects, not that somebody looks.`,
	Hypothesis: "The audit log tells an object that was written straight into etcd: it holds no request that made it.",
	Danger:     bailey.DangerDisruptive,
	Technique:  "T1565.001",
	Scope:      bailey.ScopeCluster,
	Places:     []bailey.Place{bailey.PlaceEtcd, bailey.PlaceAuditLog},
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		namespace := probeNamespace("origin")
		write := func(name string, past bool, refusers ...bailey.Refuser) bailey.Step {
			return bailey.Step{Origin: &bailey.Origin{Namespace: namespace, Name: name, Past: past}, Refusers: refusers}
		}
		return []bailey.Probe{{Name: "a ConfigMap without a request", Path: "etcd", Setup: []bailey.Step{makeNamespace(namespace)},
			Twin: write("requested", false), Try: write("planted", true, bailey.RefuserDetection)}}
	},
}
