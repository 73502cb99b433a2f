package main

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestGateWithOthersKeys: certificates and the key of the seals are kept by somebody else. The
// gate takes a renewed certificate; grants hold across replicas with one key; one that was
// deleted comes back for those only who may grant.
func TestGateWithOthersKeys(t *testing.T) {
	g := newGated(t)
	dir := t.TempDir()
	cert, key, seals := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "seals")
	ca, caKey := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "others"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	issue := func() *x509.Certificate {
		leaf, leafKey := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "gate"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, caKey)
		put(t, key, string(keyPEM(t, leafKey)))
		put(t, cert, string(certificatePEM(leaf)))
		return leaf
	}
	issue()
	for _, plural := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		path := "/apis/admissionregistration.k8s.io/v1/" + plural + "/" + imagegate.Name
		var c map[string]any
		if err := g.cluster.Do(t.Context(), http.MethodGet, path, nil, &c); err != nil {
			t.Fatal(err)
		}
		for _, w := range c["webhooks"].([]any) {
			w.(map[string]any)["clientConfig"].(map[string]any)["caBundle"] = certificatePEM(ca)
		}
		if err := g.cluster.Do(t.Context(), http.MethodPut, path, c, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, seals, "short")
	for _, wrong := range [][]string{{"--tls-cert", cert}, {"--tls-cert", cert, "--tls-key", key, "--grant-key", seals}} {
		args := append([]string{"gate", "--policy", g.policy, "--kubeconfig", g.account, "--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"}, wrong...)
		if _, errs, code := program(t, args...); code == exitOK || !strings.Contains(errs, "--tls-key go together") && !strings.Contains(errs, "holds no 32 bytes") {
			t.Errorf("%v: exit %d: %s", wrong, code, errs)
		}
	}

	apply := func(verb, text string, more ...string) (string, error) {
		file := filepath.Join(t.TempDir(), "object.yaml")
		put(t, file, text)
		out, err := g.cluster.Kubectl(t.Context(), append([]string{verb, "-f", file}, more...)...)
		if err != nil {
			return string(out) + err.Error(), err
		}
		return string(out), nil
	}
	if out, err := apply("apply", breakglassRights); err != nil {
		t.Fatal(out)
	}
	digest := g.registry.Push(t, "shop/unsigned", "1")
	image := g.registry.Host + "/shop/unsigned@" + digest
	grant, errs, code := program(t, "gate", "grant", "fire", "-n", "default", "--digest", digest, "--for", "1h", "--reason", "the build is down, INC-1234")
	if code != exitOK {
		t.Fatal(errs)
	}

	// Without a key of the seals there is no break-glass.
	first := g.start("--tls-cert", cert, "--tls-key", key)
	g.refuses(image, "rule shop")
	if out, err := apply("create", grant, "--as", "oncall"); err == nil || !strings.Contains(out, "has no key to seal grants with") {
		t.Errorf("without --grant-key: %s", out)
	}
	end := func(p *gateProcess) {
		t.Helper()
		g.relay.remove(p.address)
		_ = p.Process.Kill()
		<-p.done
	}
	end(first)

	put(t, seals, strings.Repeat("k", 32))
	second := g.start("--tls-cert", cert, "--tls-key", key, "--grant-key", seals)
	g.refuses(image, "rule shop")
	if out, err := apply("create", grant, "--as", "oncall"); err != nil {
		t.Fatal(out)
	}
	g.admits(image, digest)
	// A renewed certificate is taken from its files.
	renewed := issue()
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		conn, err := tls.Dial("tcp", second.address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		serves := conn.ConnectionState().PeerCertificates[0].SerialNumber
		_ = conn.Close()
		if serves.Cmp(renewed.SerialNumber) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the gate serves the certificate from before")
		}
	}
	// Another replica with the same key knows the seal.
	end(second)
	g.start("--tls-cert", cert, "--tls-key", key, "--grant-key", seals)
	g.admits(image, digest)

	// Deleted, it grants nothing; and who may not grant cannot bring it back, seal and all.
	const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
	var lease map[string]any
	if err := g.cluster.Do(t.Context(), http.MethodGet, leases+"/fire", nil, &lease); err != nil {
		t.Fatal(err)
	}
	if err := g.cluster.Do(t.Context(), http.MethodDelete, leases+"/fire", nil, nil); err != nil {
		t.Fatal(err)
	}
	g.refuses(image, "rule shop")
	metadata := lease["metadata"].(map[string]any)
	for name := range metadata {
		if name != "name" && name != "namespace" && name != "labels" && name != "annotations" {
			delete(metadata, name)
		}
	}
	copied, err := json.Marshal(lease)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := apply("create", string(copied), "--as", "copier"); err == nil || !strings.Contains(out, "does not hold the verb breakglass") {
		t.Errorf("a copy by somebody else: %s", out)
	}
	g.refuses(image, "rule shop")
	if out, err := apply("create", grant, "--as", "oncall"); err != nil {
		t.Error(out)
	}
	g.admits(image, digest)
}

// breakglassRights let oncall grant, and copier make leases.
const breakglassRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: breakglass, namespace: default}
rules: [{apiGroups: [gate.bailey.dev], resources: [images], verbs: [breakglass]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: breakglass, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: breakglass}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: oncall}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: leases, namespace: default}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: leases, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: leases}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: oncall}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: copier}
`

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
