package storage

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/prove/etcd"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// TestStoredEncrypted follows a cluster of its own through the ways in which a
// Secret comes to lie in the storage. The live etcd and a snapshot of it must say
// the same at each step.
func TestStoredEncrypted(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	state := filepath.Join(t.TempDir(), "state")
	cluster := start(t, state)
	secrets := "/api/v1/namespaces/default/secrets"
	write := func(name string) {
		t.Helper()
		if err := cluster.Do(t.Context(), http.MethodPost, secrets, secret(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, outcome prove.Outcome, why ...string) {
		t.Helper()
		live := open(t, etcdOptions(cluster))
		file := open(t, etcd.Options{Snapshot: snapshotOf(t, cluster)})
		fromLive, err := live.Keys(t.Context(), "/registry/")
		if err != nil {
			t.Fatal(err)
		}
		fromFile, err := file.Keys(t.Context(), "/registry/")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(storedSecrets(fromLive), storedSecrets(fromFile)) {
			t.Errorf("%s: etcd says %v, its snapshot %v", when, storedSecrets(fromLive), storedSecrets(fromFile))
		}
		for name, store := range map[string]prove.Store{"etcd": live, "a snapshot": file} {
			records := provetest.Run(t, cluster, APIEncryption, provetest.Options{Worst: bailey.DangerNone, Places: []bailey.Place{bailey.PlaceEtcd}, Etcd: store})
			provetest.Want(t, records, map[string]prove.Outcome{"read the Secrets in the storage (storage)": outcome})
			text := provetest.Text(records)
			for _, part := range why {
				if !strings.Contains(text, part) {
					t.Errorf("%s, %s: %q is not said:\n%s", when, name, part, text)
				}
			}
			if data, _ := json.Marshal(records[0].Exchanges); strings.Contains(text+string(data), "hidden-value") {
				t.Errorf("%s, %s: the record holds a Secret", when, name)
			}
		}
	}

	expect("no Secret", prove.Inconclusive, "nothing is stored")
	write("first")
	write("second")
	expect("all under one key", prove.Held)

	live := open(t, etcdOptions(cluster))
	plain := secret("past")
	plain["kind"], plain["apiVersion"] = "Secret", "v1"
	data, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := live.Put(t.Context(), "/registry/secrets/default/past", data); err != nil {
		t.Fatal(err)
	}
	expect("one in plain text", prove.Broken, "1 under plain text", "2 under aescbc:key1", "/registry/secrets/default/past")
	live.Close()
	if err := cluster.Do(t.Context(), http.MethodDelete, secrets+"/past", nil, nil); err != nil {
		t.Fatal(err)
	}
	expect("the plain one is gone", prove.Held)

	stop(t, cluster)
	addKey(t, filepath.Join(state, "config", "encryption.yaml"))
	cluster = start(t, state)
	write("third")
	expect("rotated, with old ones left", prove.Broken, "2 under aescbc:key1", "1 under aescbc:key2", "/registry/secrets/default/first, /registry/secrets/default/second")
	for _, name := range []string{"first", "second"} {
		if err := cluster.Do(t.Context(), http.MethodPut, secrets+"/"+name, secret(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	expect("rewritten", prove.Held)
	wrongStorage(t, cluster)
}

// wrongStorage holds another cluster's storage, and one that is gone, to show nothing.
func wrongStorage(t *testing.T, cluster *devcluster.Cluster) {
	for name, store := range map[string]prove.Store{
		"another": open(t, etcd.Options{Snapshot: snapshotOf(t, devclustertest.Shared(t))}),
		"gone": func() prove.Store {
			s := open(t, etcdOptions(cluster))
			s.Close()
			return s
		}(),
		"another prefix": open(t, etcd.Options{Snapshot: snapshotOf(t, cluster), Prefix: "/elsewhere"}),
	} {
		records := provetest.Run(t, cluster, APIEncryption, provetest.Options{Worst: bailey.DangerNone, Places: []bailey.Place{bailey.PlaceEtcd}, Etcd: store})
		provetest.Want(t, records, map[string]prove.Outcome{"read *": prove.Inconclusive})
		t.Logf("%s: %s", name, provetest.Text(records))
	}
	o := etcdOptions(cluster)
	o.Cert, o.Key = filepath.Join(cluster.PKI, "admin.crt"), filepath.Join(cluster.PKI, "admin.key")
	if _, err := etcd.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("a certificate of another CA: %v", err)
	}
}

func secret(name string) map[string]any {
	return map[string]any{"metadata": map[string]any{"name": name, "namespace": "default"}, "stringData": map[string]any{"password": "hidden-value"}}
}

func storedSecrets(all []prove.Stored) []prove.Stored {
	var some []prove.Stored
	for _, s := range all {
		if strings.HasPrefix(s.Key, "/registry/secrets/") {
			some = append(some, s)
		}
	}
	return some
}

func start(t *testing.T, state string) *devcluster.Cluster {
	t.Helper()
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	return cluster
}

func stop(t *testing.T, cluster *devcluster.Cluster) {
	t.Helper()
	if err := cluster.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func etcdOptions(cluster *devcluster.Cluster) etcd.Options {
	return etcd.Options{Endpoints: []string{cluster.Etcd}, CA: filepath.Join(cluster.PKI, "etcd-ca.crt"),
		Cert: filepath.Join(cluster.PKI, "etcd-client.crt"), Key: filepath.Join(cluster.PKI, "etcd-client.key")}
}

func open(t *testing.T, o etcd.Options) etcd.Storage {
	t.Helper()
	s, err := etcd.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// snapshotOf asks etcd for a snapshot, as etcdctl does.
func snapshotOf(t *testing.T, cluster *devcluster.Cluster) string {
	t.Helper()
	o := etcdOptions(cluster)
	config, err := transport.TLSInfo{TrustedCAFile: o.CA, CertFile: o.Cert, KeyFile: o.Key}.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: o.Endpoints, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	from, err := client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	to, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	return path
}

// addKey puts a new key before the others, as a rotation does.
func addKey(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const first = `"keys": [`
	if !strings.Contains(string(data), first) {
		t.Fatalf("no keys in %s", path)
	}
	key := `{"name": "key2", "secret": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="},`
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), first, first+key, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
