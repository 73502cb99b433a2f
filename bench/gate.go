package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
	"github.com/baileyhq/bailey/trust/sign"
)

const (
	gateSeconds = 20
	gateRounds  = 3
	gateDigests = 50_000
)

// gateBench is `bailey gate` in a process of its own, a registry with one signed image,
// and a control plane.
type gateBench struct {
	cluster *devcluster.Cluster
	gate    *exec.Cmd
	said    chan string // its last line
	url     string
	image   string // signed, by digest
	dir     string
}

// benchGate measures the gate at its webhook and behind an API server.
func benchGate(bailey string) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bailey-bench-gate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &gateBench{dir: dir}
	if b.cluster, err = devcluster.Start(ctx, devcluster.Options{}); err != nil {
		return err
	}
	defer b.cluster.Stop(ctx)
	store := httptest.NewServer(memory.New(memory.Logger(log.New(io.Discard, "", 0)), memory.WithReferrersSupport(true)))
	defer store.Close()
	host := strings.TrimPrefix(store.URL, "http://")
	if err := b.prepare(ctx, host); err != nil {
		return err
	}
	if err := b.start(bailey, host); err != nil {
		return err
	}
	defer func() {
		_ = b.gate.Process.Signal(syscall.SIGTERM)
		<-b.said
		_ = b.gate.Wait()
	}()
	if err := b.webhook(); err != nil {
		return err
	}
	if err := b.memory(host); err != nil {
		return err
	}
	return b.server(ctx, bailey)
}

// prepare pushes and signs an image, and writes the policy.
func (b *gateBench) prepare(ctx context.Context, host string) error {
	image, err := random.Image(1000, 1)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(host+"/shop/web:1", name.Insecure)
	if err != nil {
		return err
	}
	if err := remote.Write(tag, image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	b.image = host + "/shop/web@" + digest.String()
	key, err := sign.GenerateKey()
	if err != nil {
		return err
	}
	public, err := key.PublicPEM()
	if err != nil {
		return err
	}
	bundle, err := sign.Image(ctx, trust.Artifact{Repository: host + "/shop/web", Digest: digest.String()}, sign.Options{Key: key, Now: time.Now()})
	if err != nil {
		return err
	}
	client := &registry.Client{PlainHTTP: []string{host}}
	if _, err := client.Attach(ctx, host+"/shop/web", digest.String(), bundle, trust.PredicateSignature, time.Now()); err != nil {
		return err
	}
	policy := "version: 1\nauthorities: [{name: release, keys: [release.pub]}]\nrules:\n" +
		"- {name: shop, images: [\"" + host + "/shop/**\"], signature: {by: [release]}}\n" +
		"- {name: many, images: [\"" + host + "/many/**\"], unsigned: true}\n"
	return errors.Join(os.WriteFile(filepath.Join(b.dir, "release.pub"), public, 0o600), os.WriteFile(filepath.Join(b.dir, "trust.yaml"), []byte(policy), 0o600))
}

var gateServes = regexp.MustCompile(`webhooks=(127\.0\.0\.1:\d+)`)

// start runs the gate with the administrator's rights and a ledger, and waits until it serves.
func (b *gateBench) start(bailey, host string) error {
	book := filepath.Join(b.dir, "ledger")
	if out, err := exec.Command(bailey, "ledger", "init", book).CombinedOutput(); err != nil {
		return fmt.Errorf("ledger init: %w\n%s", err, out)
	}
	if err := b.apply(bailey, "https://127.0.0.1:1"); err != nil { // for its Secret; it answers elsewhere
		return err
	}
	if err := b.remove(); err != nil {
		return err
	}
	b.gate = exec.Command(bailey, "gate", "--policy", filepath.Join(b.dir, "trust.yaml"), "--kubeconfig", b.cluster.Kubeconfig, "--url", "https://127.0.0.1",
		"--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--ledger", book, "--plain-http-registry", host, "--drain", "0s")
	stderr, err := b.gate.StderrPipe()
	if err != nil {
		return err
	}
	if err := b.gate.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stderr)
	for b.url == "" && lines.Scan() {
		if m := gateServes.FindStringSubmatch(lines.Text()); m != nil {
			b.url = "https://" + m[1]
		}
	}
	if b.url == "" {
		return errors.New("the gate does not serve: " + lines.Text())
	}
	b.said = make(chan string, 1)
	go func() {
		text := ""
		for lines.Scan() {
			text = lines.Text()
		}
		b.said <- text
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := gateClient().review(b.url, b.image)
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the gate does not admit a signed image: %w", err)
		}
	}
}

// apply puts the webhook configurations in place.
func (b *gateBench) apply(bailey, url string) error {
	manifests, err := exec.Command(bailey, "gate", "--print", "--url", url).Output()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "gate.yaml")
	if err := os.WriteFile(file, manifests, 0o600); err != nil {
		return err
	}
	_, err = b.cluster.Kubectl(context.Background(), "apply", "-f", file)
	return err
}

func (b *gateBench) remove() error {
	_, err := b.cluster.Kubectl(context.Background(), "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "bailey-gate")
	return err
}

// client posts reviews as an API server does: over one connection, HTTP/2.
type client struct{ http.Client }

func gateClient() *client {
	return &client{http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} // what is measured is time
}

const gateReview = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"%s","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},` +
	`"name":"web-6d8f7c9b5-x2v4q","namespace":"shop","operation":"CREATE","userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","groups":["system:serviceaccounts","system:authenticated"]},` +
	`"object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-6d8f7c9b5-x2v4q","namespace":"shop","labels":{"app":"web","pod-template-hash":"6d8f7c9b5"},"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1",` +
	`"fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{},"f:resources":{}}},"f:dnsPolicy":{},"f:restartPolicy":{}}}}]},` +
	`"spec":{"volumes":[{"name":"token","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}}],"defaultMode":420}}],"containers":[{"name":"web","image":"%s","env":[{"name":"A","value":"b"}],` +
	`"resources":{"limits":{"cpu":"200m","memory":"128Mi"},"requests":{"cpu":"100m","memory":"64Mi"}},"volumeMounts":[{"name":"token","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"imagePullPolicy":"IfNotPresent","securityContext":{"allowPrivilegeEscalation":false}}],` +
	`"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","securityContext":{},"schedulerName":"default-scheduler","priority":0,"enableServiceLinks":true}},"dryRun":false}}`

func (c *client) review(url, image string) error {
	body := fmt.Sprintf(gateReview, strconv.FormatInt(time.Now().UnixNano(), 36)+image[len(image)-6:], image)
	resp, err := c.Post(url+"/images?timeout=10s", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Contains(answer, []byte(`"allowed":true`)) {
		err = fmt.Errorf("%d: %s", resp.StatusCode, answer)
	}
	return err
}

// paced does something at a rate, however long each takes. It gives how long each took, and
// how many failed.
func paced(rate float64, seconds int, do func(n int) error) (took []time.Duration, failed int) {
	total := int(rate * float64(seconds))
	took = make([]time.Duration, total)
	errs := make([]error, total)
	var group sync.WaitGroup
	begin := time.Now()
	for n := range total {
		due := begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		group.Go(func() {
			asked := time.Now()
			errs[n] = do(n)
			took[n] = time.Since(asked)
		})
	}
	group.Wait()
	slices.Sort(took)
	for _, err := range errs {
		if err == nil {
			continue
		}
		if failed++; failed == 1 {
			fmt.Printf("the first that failed: %v\n", err)
		}
	}
	return took, failed
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

// webhook asks the gate itself, warm.
func (b *gateBench) webhook() error {
	c := gateClient()
	fmt.Printf("%10s %10s %10s %10s %8s %8s\n", "asked/s", "p50", "p99", "max", "cores", "failed")
	for _, rate := range []float64{500, 1000} {
		var tails []time.Duration
		for range gateRounds {
			before, begin := b.cpu(), time.Now()
			took, failed := paced(rate, gateSeconds, func(int) error { return c.review(b.url, b.image) })
			tails = append(tails, quantile(took, 99))
			fmt.Printf("%10.0f %10s %10s %10s %8.2f %8d\n", rate, ms(quantile(took, 50)), ms(quantile(took, 99)), ms(took[len(took)-1]), (b.cpu()-before).Seconds()/time.Since(begin).Seconds(), failed)
		}
		slices.Sort(tails)
		fmt.Printf("%10.0f p99, median of %d: %s\n", rate, gateRounds, ms(tails[gateRounds/2]))
	}
	return nil
}

// memory shows the gate many digests. A rule that wants no signature admits them, so that
// what is measured is the cache and not a registry.
func (b *gateBench) memory(host string) error {
	b.resident("before")
	c := gateClient()
	var group sync.WaitGroup
	var failed error
	var mu sync.Mutex
	for worker := range 4 {
		group.Go(func() {
			for n := worker; n < gateDigests; n += 4 {
				if err := c.review(b.url, fmt.Sprintf("%s/many/app-%d@sha256:%064x", host, n%500, n)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	if failed != nil {
		return failed
	}
	b.resident(fmt.Sprintf("%d digests", gateDigests))
	return nil
}

// resident prints how much memory the gate holds and held at most, and what of it is its
// own: the rest is the program's text.
func (b *gateBench) resident(when string) {
	fmt.Printf("%s:", when)
	for _, figure := range []string{"VmHWM", "VmRSS", "RssAnon"} {
		fmt.Printf(" %s %s", figure, mib(memoryOf(b.gate.Process.Pid, figure)))
	}
	fmt.Println()
}

// server creates pods, as dry-runs, at half the rate that the API server sustains without
// the gate: without it, with a webhook that admits everything unread, and with the gate, in
// turns, since the tail of an API server differs more from minute to minute than by what is
// to be measured. The second is what any webhook costs on this machine.
func (b *gateBench) server(ctx context.Context, bailey string) error {
	create := func() error {
		return b.cluster.Do(ctx, http.MethodPost, "/api/v1/namespaces/default/pods?dryRun=All", map[string]any{
			"metadata": map[string]any{"generateName": "x-"},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "a", "image": b.image}}},
		}, nil)
	}
	awaited := func() error { // its ServiceAccount; the CA that the gate writes
		var err error
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if err = create(); err == nil {
				time.Sleep(time.Second)
				return nil
			}
		}
		return err
	}
	if err := awaited(); err != nil {
		return err
	}
	empty := newEmptyWebhook(b.cluster)
	defer empty.server.Close()
	sustained := sustain(create)
	rate := sustained / 2
	fmt.Printf("the API server sustains %.0f dry-run pods a second; at half of that:\n%14s %10s %10s %8s\n", sustained, "", "p50", "p99", "failed")
	const rounds, seconds = 5, 10
	tails := map[string][]time.Duration{}
	nothing := func() error { return nil }
	for range rounds {
		for _, turn := range []struct {
			name       string
			begin, end func() error
		}{
			{"none", nothing, nothing},
			{"empty webhook", func() error { return empty.apply(ctx) }, func() error { return empty.remove(ctx) }},
			{"gate", func() error { return b.apply(bailey, b.url) }, b.remove},
		} {
			if err := turn.begin(); err != nil {
				return err
			}
			if err := awaited(); err != nil {
				return err
			}
			took, failed := paced(rate, seconds, func(int) error { return create() })
			tails[turn.name] = append(tails[turn.name], quantile(took, 99))
			fmt.Printf("%14s %10s %10s %8d\n", turn.name, ms(quantile(took, 50)), ms(quantile(took, 99)), failed)
			if len(tails[turn.name]) == rounds {
				fmt.Printf("%14s %10s sustains %.0f a second\n", turn.name, "", sustain(create))
			}
			if err := turn.end(); err != nil {
				return err
			}
		}
	}
	for _, tail := range tails {
		slices.Sort(tail)
	}
	median := func(name string) time.Duration { return tails[name][rounds/2] }
	fmt.Printf("added to p99, of the medians: by an empty webhook %s, by the gate %s\n", ms(median("empty webhook")-median("none")), ms(median("gate")-median("none")))
	return nil
}

// sustain is how often a second something can be done by several at once.
func sustain(do func() error) float64 {
	const workers, seconds = 16, 10
	var group sync.WaitGroup
	counts := make([]int, workers)
	begin := time.Now()
	for w := range workers {
		group.Go(func() {
			for time.Since(begin) < seconds*time.Second && do() == nil {
				counts[w]++
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(begin).Seconds()
}

// cpu is the processor time that the gate has used; 0 once it has ended.
func (b *gateBench) cpu() time.Duration {
	used, _ := processorTime(b.gate.Process.Pid)
	return used
}
