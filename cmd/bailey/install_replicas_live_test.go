package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
)

// TestInstallReplicas installs two replicas with a PostgreSQL, a prober and a certificate on a
// node, kills the one that leads, and sees the other one go on.
func TestInstallReplicas(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes two minutes: BAILEY_SOAK=1")
	}
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	before := installed(t, cluster)
	database, err := postgrestest.Start(t.Context(), "fsync=off")
	if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Stop() })
	here, err := database.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := postgres.Open(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })

	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "bailey"}, DNSNames: []string{"bailey.bailey.svc"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, nil, nil)
	kubectl(t, cluster, "create", "namespace", "bailey")
	kubectl(t, cluster, "-n", "bailey", "create", "secret", "tls", "bailey-tls", "--cert", file("tls.crt", certificatePEM(cert)), "--key", file("tls.key", keyPEM(t, key)))
	kubectl(t, cluster, "-n", "bailey", "create", "secret", "generic", "bailey-database", "--from-file", "url="+file("url", []byte(relayDatabase(t, cluster, here))))

	flags := []string{"install", "--kubeconfig", cluster.Kubeconfig, "--wait", "3m"}
	if out, errs, code := program(t, append(flags, "--apply", "--set", "image="+devclustertest.BaileyImage, "--set", "replicas=2", "--set", "tls.secretName=bailey-tls",
		"--set", "database.secretName=bailey-database", "--set", "prober.every=1m", "--set", "prober.controls={compute/pod-security}")...); code != exitOK {
		t.Fatalf("exit %d\n%s%s\n%s", code, out, errs, kubectlLoose(t, cluster, "-n", "bailey", "logs", "--prefix", "-l", "app.kubernetes.io/name=bailey"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			page, err := kept.Runs(context.WithoutCancel(t.Context()), store.RunQuery{Access: store.Everything(), Cluster: string(kubectlLoose(t, cluster, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"))})
			t.Logf("%+v %v\n%s", page.Items, err, kubectlLoose(t, cluster, "-n", "bailey", "logs", "--prefix", "--tail=-1", "-l", "app.kubernetes.io/name=bailey"))
		}
	})
	uid := string(kubectl(t, cluster, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"))
	holder := func() string {
		name, _, _ := strings.Cut(string(kubectl(t, cluster, "-n", "bailey", "get", "lease", "bailey", "-o", "jsonpath={.spec.holderIdentity}")), "_")
		return name
	}
	runs := func() (list []store.Run) {
		page, err := kept.Runs(t.Context(), store.RunQuery{Cluster: uid, Access: store.Everything()})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return page.Items
	}
	awaitWithin(t, 2*time.Minute, "the prober has run experiments", func() bool {
		list := runs()
		return len(list) > 0 && list[0].State == store.RunDone && list[0].Tried > 0
	})
	leader, killed := holder(), time.Now()
	kubectl(t, cluster, "-n", "bailey", "delete", "pod", leader, "--grace-period=0", "--force")
	awaitWithin(t, time.Minute, "another one leads", func() bool { name := holder(); return name != "" && name != leader })
	took := time.Since(killed)
	t.Logf("another replica leads %s after the pod was taken away by force", took.Round(100*time.Millisecond))
	if took >= goesOnWithin {
		t.Errorf("another replica leads after %s only", took)
	}
	awaitWithin(t, 2*time.Minute, "the schedule goes on", func() bool {
		list := runs()
		return list[0].State == store.RunDone && list[0].Started.After(killed)
	})
	if logs := string(kubectl(t, cluster, "-n", "bailey", "logs", "--prefix", "--tail=-1", "-l", "app.kubernetes.io/name=bailey")); strings.Contains(logs, "forbidden") || strings.Contains(logs, "level=ERROR") {
		t.Errorf("what the replicas say:\n%s", logs)
	}
	// The quota leaves room for all that are replaced.
	kubectl(t, cluster, "-n", "bailey", "rollout", "restart", "deployment/bailey")
	kubectl(t, cluster, "-n", "bailey", "rollout", "status", "deployment/bailey", "--timeout=2m")
	if got := kubectl(t, cluster, "-n", "bailey", "get", "events", "--field-selector=reason=FailedCreate", "-o", "jsonpath={.items[*].message}"); len(got) > 0 {
		t.Errorf("not created: %s", got)
	}
	if _, errs, code := program(t, append(flags, "--uninstall")...); code != exitOK {
		t.Fatalf("uninstall: exit %d\n%s", code, errs)
	}
	kubectlLoose(t, cluster, "delete", "namespace", "bailey")
	if after := installed(t, cluster); after != before {
		t.Errorf("left after uninstall:\n%s\nbefore:\n%s", after, before)
	}
}

// relayDatabase lets pods reach a database on this machine's Unix socket, and gives the URL for them.
func relayDatabase(t *testing.T, cluster *devcluster.Cluster, here string) string {
	t.Helper()
	u, err := url.Parse(here)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	listener, err := cluster.Listen(t.Context(), "tcp", net.JoinHostPort(cluster.IP(), "5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "unix", socket)
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return "postgres://bailey@" + net.JoinHostPort(cluster.IP(), "5432") + u.Path + "?sslmode=disable"
}
