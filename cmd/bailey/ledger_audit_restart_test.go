//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
)

// TestWebhookSinkOverRestarts kills a sink that a real API server posts to, then
// restarts that API server: each event of its log file is in the ledger once, or a proof
// covers its time.
func TestWebhookSinkOverRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	dir := t.TempDir()
	keys := makeSinkKeys(t, dir)
	way := newWay(t)
	cluster := startAudited(t, dir, keys, way)
	const settle = 5 * time.Second
	webhook := webhookSink(filepath.Join(dir, "webhook"), keys, way, cluster, settle)
	runBailey(t, "ledger", "init", webhook.ledger)
	webhook.start(t)
	webhook.quiet(t, "one") // a reading at a quiet moment is exact, also on a busy machine
	worker := work(t, cluster.Do)
	worker.goes(t, 20)
	webhook.kill(t)
	webhook.start(t)
	worker.goes(t, 10)
	worker.stop()
	webhook.quiet(t, "one")
	worker = work(t, cluster.Do)
	worker.goes(t, 10)
	if err := cluster.RestartAPIServer(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	worker.goes(t, 10)
	worker.stop()
	webhook.judged(t, "one") // what was under way has come, or counts as missing
	webhook.stop(t)

	compare(t, webhook, "one", readTruth(t, cluster.AuditLog))
}

// startAudited starts a cluster that posts its audit events to the way's address, and
// writes them to its log file too.
func startAudited(t *testing.T, dir string, keys sinkKeys, way *way) *devcluster.Cluster {
	t.Helper()
	config := filepath.Join(dir, "webhook.kubeconfig")
	printed := runBailey(t, "ledger", "audit", "--print-webhook-config", "--url", "https://"+way.addr+"/one",
		"--server-ca", keys.ca, "--tls-cert", keys.clientCert, "--tls-key", keys.clientKey)
	if err := os.WriteFile(config, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{ExtraAPIServerArgs: []string{
		"--audit-webhook-config-file=" + config, "--audit-webhook-mode=batch", "--audit-webhook-batch-max-wait=300ms",
		"--audit-webhook-initial-backoff=200ms", // five tries within 3 s, in the place of 90
		"--audit-log-maxsize=1", "--audit-log-maxbackup=0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// webhookSink is a sink that the way leads to and that waits this long for an event.
func webhookSink(ledger string, keys sinkKeys, way *way, cluster *devcluster.Cluster, settle time.Duration) *sink {
	return &sink{name: "webhook", ledger: ledger, args: []string{"--listen", way.to, "--tls-cert", keys.cert, "--tls-key", keys.key,
		"--client-ca", keys.ca, "--metrics-from", "one=" + cluster.Kubeconfig, "--every", "500ms", "--settle", settle.String()}}
}
