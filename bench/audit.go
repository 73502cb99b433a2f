package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
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
)

const (
	auditBatch   = 400 // events in one request, as an API server sends them by default
	auditSeconds = 20
)

// benchAudit measures `bailey ledger audit` in a process of its own: at 4,000 events
// a second, which is what one API server sends at most by default, then at more.
func benchAudit(bailey string) error {
	fmt.Printf("%10s %10s %8s %10s %10s %8s %8s\n", "asked/s", "taken/s", "cores", "p50", "p99", "peak", "lost")
	for _, rate := range []int{4000, 6000, 8000, 10000, 12000} {
		if err := auditAt(bailey, rate); err != nil {
			return err
		}
	}
	return nil
}

// listening finds the address in what the sink says when it begins.
var listening = regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`)

func auditAt(bailey string, rate int) error {
	dir, err := os.MkdirTemp("", "bailey-bench-audit")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	book := filepath.Join(dir, "ledger")
	if out, err := exec.Command(bailey, "ledger", "init", book).CombinedOutput(); err != nil {
		return fmt.Errorf("ledger init: %w\n%s", err, out)
	}
	cmd := exec.Command(bailey, "ledger", "audit", book, "--listen", "127.0.0.1:0", "--plain-http")
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(said)
	url := ""
	for url == "" && lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			url = "http://" + m[1] + "/bench"
		}
	}
	last := make(chan string, 1)
	go func() {
		text := ""
		for lines.Scan() {
			text = lines.Text()
		}
		last <- text
	}()
	sent, answers, took := auditLoad(url, rate)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	text := <-last
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("bailey ledger audit: %w: %s", err, text)
	}
	_, count, _ := strings.Cut(text, "events=")
	taken, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || len(answers) == 0 {
		return errors.Join(err, fmt.Errorf("the sink took nothing; at last it said: %s", text))
	}
	slices.Sort(answers)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Printf("%10d %10.0f %8.2f %10s %10s %8s %8d\n", rate, float64(taken)/took.Seconds(), cpu.Seconds()/took.Seconds(),
		ms(answers[len(answers)/2]), ms(answers[len(answers)*99/100]), mib(usage.Maxrss<<10), sent-taken)
	return nil
}

// auditLoad posts batches at this rate, and gives how many events were acknowledged,
// how long each answer took, and how long all of it.
func auditLoad(url string, rate int) (sent int, answers []time.Duration, took time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 15) // the burst of an API server
	begin := time.Now()
	for n := range rate * auditSeconds / auditBatch {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * auditBatch * time.Second / time.Duration(rate))))
		body := auditEvents(n)
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			asked := time.Now()
			resp, err := http.Post(url, "application/json", bytes.NewReader(body))
			if err != nil {
				return
			}
			_ = resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if resp.StatusCode == http.StatusOK {
				sent += auditBatch
				answers = append(answers, time.Since(asked))
			}
		})
	}
	group.Wait()
	return sent, answers, time.Since(begin)
}

// auditEvents makes an EventList: most events of 1.7 KB, one in fifty of 20 KB.
func auditEvents(batch int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`)
	for i := range auditBatch {
		if i > 0 {
			b.WriteByte(',')
		}
		size := 900
		if i%50 == 0 {
			size = 19_000
		}
		fmt.Fprintf(&b, `{"level":"Request","auditID":"%08x-5f3a-4c1d-9b7e-%012x","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/configmaps/c%d?fieldManager=controller&timeout=30s","verb":"update",`+
			`"user":{"username":"system:serviceaccount:shop:cart-controller","uid":"7c3d0f6e-2f64-4a57-8c1e-1f2f3a4b5c6d","groups":["system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["cart-6d8f7c9b5-x2v4q"]}},`+
			`"sourceIPs":["10.88.3.17"],"userAgent":"cart-controller/v2.3.1 (linux/amd64) kubernetes/1a2b3c4","objectRef":{"resource":"configmaps","namespace":"shop","name":"c%d","apiVersion":"v1","resourceVersion":"%d"},"responseStatus":{"metadata":{},"code":200},`+
			`"requestObject":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c%d","namespace":"shop"},"data":{"state":"%s"}},`+
			`"requestReceivedTimestamp":"2026-11-25T10:00:00.%06dZ","stageTimestamp":"2026-11-25T10:00:00.%06dZ","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"cart/shop\""}}`,
			batch, i, i, i, batch, i, strings.Repeat("state=ok;", size/9), i, i+100)
	}
	b.WriteString("]}")
	return b.Bytes()
}
