package main

import (
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestInstallKeepsData changes an installation to values that want no claim of their own any more: to a
// database, to no volume, and to the same claim named by hand. Its history must be there afterwards, and
// be removed with the rest only when that is asked for.
func TestInstallKeepsData(t *testing.T) {
	t.Parallel()
	cluster := devclustertest.Own(t)
	run := func(want int, args ...string) string {
		t.Helper()
		_, errs, code := program(t, append([]string{"install", "--kubeconfig", cluster.Kubeconfig, "--wait", "0"}, args...)...)
		if code != want {
			t.Fatalf("install %s: exit %d\n%s", args, code, errs)
		}
		return errs
	}
	apply := []string{"--apply", "--set", "image=registry.example.com/bailey:1"}
	claims := func() string {
		t.Helper()
		return strings.TrimSpace(string(kubectl(t, cluster, "get", "persistentvolumeclaims", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.deletionTimestamp}{end}`)))
	}
	installsThroughGateway(t, cluster, run, apply)
	for _, values := range []string{"persistence.existingClaim=bailey", "persistence.enabled=false", "replicas=2,database.secretName=history,tls.secretName=bailey-tls"} {
		said := run(exitOK, append(apply, "--set", values)...)
		if !strings.Contains(said, "left persistentvolumeclaim bailey/bailey") {
			t.Errorf("%s does not say what is left:\n%s", values, said)
		}
		if got := claims(); got != "bailey/bailey" {
			t.Fatalf("after %s the claims are %q", values, got)
		}
	}

	// One cluster takes one installation, and a second changes nothing of the first.
	said := run(exitFailed, append(apply, "--namespace", "second")...)
	if !strings.Contains(said, "is of what is installed in namespace bailey") || !strings.Contains(said, "hint: ") {
		t.Errorf("a second installation is told:\n%s", said)
	}
	if got := kubectl(t, cluster, "get", "namespace", "second", "--ignore-not-found", "-o", "name"); len(got) > 0 {
		t.Errorf("it made %s", got)
	}

	if said := run(exitOK, "--uninstall"); !strings.Contains(said, "left: persistentvolumeclaim bailey/bailey") {
		t.Errorf("uninstall does not say what is left:\n%s", said)
	}
	if got := claims(); got != "bailey/bailey" {
		t.Fatalf("after an uninstall the claims are %q", got)
	}
	run(exitOK, "--uninstall", "--delete-data")
	awaitWithin(t, time.Minute, "the claim is gone", func() bool { return claims() == "" })

	// What outlives the namespace of an installation is in nobody's way.
	gone := func() bool {
		return len(kubectl(t, cluster, "get", "namespace", "bailey", "--ignore-not-found", "-o", "name")) == 0
	}
	awaitWithin(t, time.Minute, "the namespace is gone", gone)
	run(exitOK, apply...)
	kubectl(t, cluster, "delete", "namespace", "bailey")
	awaitWithin(t, time.Minute, "the namespace is gone", gone)
	run(exitOK, append(apply, "--namespace", "second")...)
}
