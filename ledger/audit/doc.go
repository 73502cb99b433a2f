// Package audit takes a Kubernetes API server's audit events into the ledger
// and proves that none is missing.
//
// Events come as the webhook backend sends them (EventLists of audit.k8s.io/v1,
// see [Server]) or as lines of the audit log that somebody tails (see
// [Sink.Take]). A batch is acknowledged once the ledger has it on disk, so what
// the API server was not told about it sends again, and the ledger keeps an event
// that came twice once.
//
// That every event arrived is shown by the API server's own account
// (see [Prober]): the counter apiserver_audit_event_total says how many events it
// has made, and the audit event of the very request that read the counter says, by
// the API server's clock, when that was. The events received that bear an earlier
// time are counted; the difference is what is missing. The answer (none, a gap of
// N events, or unknown and why) is a record of the ledger itself; see [Proof].
package audit
