package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey/devcluster"
)

// liveSettled is how long `bailey serve` must use little of a processor to be called at rest, and
// liveLimit how long that may take.
const (
	liveSettled = 20 * time.Second
	liveLimit   = 15 * time.Minute
	// liveIdle is for how many objects it is watched for a minute while nothing happens: how often time itself is looked at
	// depends on how many there are.
	liveIdle = 10_000
	// liveSeen is what share of the generated objects it must hold: Leases are not read.
	liveSeen = 0.95
)

// The budgets: of memory in bytes, of the time in which 99 of 100 changes are judged, and of an idle server's share of a
// processor in percent.
const (
	liveMemory int64 = 700 << 20
	liveJudged       = 100 * time.Millisecond
	liveLoad         = 2.
)

// benchLive follows a real control plane that holds a generated cluster by `bailey serve` as it is
// started by anybody, but for experiments: decoding, judging, planning guards, keeping, answering. Pods change meanwhile.
// Budget up to 100,000 objects: 700 MiB at most ever, a change judged within 100 ms (p99), 2 % of a core when idle. It
// fails, at the end, where one is exceeded.
func benchLive(bailey string) error {
	fmt.Printf("%10s %10s %10s %10s %10s %10s %10s %10s %10s %10s\n", "objects", "ready", "CPU", "at rest", "resident", "afterwards", "highest", "p50", "p99", "idle")
	var b budgets
	for _, n := range []int{1_000, 10_000, 100_000} {
		if err := liveOnce(bailey, n, &b); err != nil {
			return err
		}
	}
	return b.err()
}

func liveOnce(bailey string, n int, b *budgets) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*liveLimit)
	defer cancel()
	// Nothing runs the pods, and no webhook of the generated cluster answers.
	c, err := devcluster.Start(ctx, devcluster.Options{SkipControllers: true, ExtraAPIServerArgs: []string{"--disable-admission-plugins=ValidatingAdmissionWebhook"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop(context.Background())) }()
	if _, err := fill(ctx, c, n); err != nil {
		return err
	}
	client, err := liveClient(c)
	if err != nil {
		return err
	}
	if err := caughtUp(ctx, client); err != nil {
		return err
	}
	s, err := serveLive(ctx, bailey, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ready, cpu := time.Since(s.begun), s.cpu()
	if err := s.rest(ctx); err != nil {
		return err
	}
	rested, resident := time.Since(s.begun), s.memory("VmRSS")
	families, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	objects := families["bailey_objects"].GetMetric()[0].GetGauge().GetValue()
	if objects < float64(n)*liveSeen {
		return fmt.Errorf("bailey serve holds %.0f of %d objects: what it costs is not that of them", objects, n)
	}
	past := judgings(families)
	if err := changePods(ctx, client); err != nil {
		return err
	}
	if err := s.rest(ctx); err != nil {
		return err
	}
	if families, err = s.metrics(ctx); err != nil {
		return err
	}
	half, most := judged(past, judgings(families), .5), judged(past, judgings(families), .99)
	before, idle := s.cpu(), max(serveIdle, time.Duration(n/liveIdle)*time.Minute)
	time.Sleep(idle)
	load, afterwards, highest := 100*float64(s.cpu()-before)/float64(idle), s.memory("VmRSS"), s.memory("VmHWM")
	what := fmt.Sprintf("%.0f objects, ", objects)
	over := cmp.Or(holds(b, what+"highest memory", highest, liveMemory, mib), holds(b, what+"p99", most, liveJudged, ms), holds(b, what+"idle", load, liveLoad, percent))
	fmt.Printf("%10.0f %10s %10s %10s %10s %10s %10s %10s %10s %9.2f%%%s\n", objects, ready.Round(100*time.Millisecond), cpu.Round(100*time.Millisecond), rested.Round(time.Second),
		mib(resident), mib(afterwards), mib(highest), ms(half), ms(most), load, over)
	return nil
}

// live is a `bailey serve` in a process of its own.
type live struct {
	cmd   *exec.Cmd
	dir   string
	url   string
	begun time.Time
}

var serveAnswers = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serveLive starts it and waits until it has a report.
func serveLive(ctx context.Context, bailey string, c *devcluster.Cluster) (*live, error) {
	dir, err := os.MkdirTemp("", "bailey-bench-live-")
	if err != nil {
		return nil, err
	}
	s := &live{dir: dir, begun: time.Now(), cmd: exec.Command(bailey, "serve", "--kubeconfig", c.Kubeconfig, "--data", filepath.Join(dir, "data"), "--ledger", filepath.Join(dir, "ledger"), "--listen", "127.0.0.1:0", "--no-link", "--prove-every", "0")}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	s.cmd.Stdout = s.cmd.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for s.url == "" && lines.Scan() {
		s.url = serveAnswers.FindString(lines.Text())
	}
	if s.url == "" {
		return nil, errors.Join(errors.New("bailey serve does not answer: "+lines.Text()), s.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	for {
		answer, err := s.get(ctx, "/readyz")
		if err == nil {
			answer.Close()
			return s, nil
		}
		if time.Since(s.begun) > liveLimit {
			return nil, errors.Join(fmt.Errorf("bailey serve is not ready: %w", err), s.stop())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *live) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(s.cmd.Wait(), os.RemoveAll(s.dir))
}

func (s *live) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// rest waits until the server has used less than a twentieth of a processor for a while.
func (s *live) rest(ctx context.Context) error {
	for end := time.Now().Add(liveLimit); ; {
		before := s.cpu()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(liveSettled):
		}
		if s.cpu()-before < liveSettled/20 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("bailey serve does not come to rest")
		}
	}
}

// cpu is the processor time that the process has used; 0 once it has ended.
func (s *live) cpu() time.Duration {
	used, _ := processorTime(s.cmd.Process.Pid)
	return used
}

// memory is a line of the process's status, in bytes.
func (s *live) memory(line string) int64 { return memoryOf(s.cmd.Process.Pid, line) }

// metrics are what the server shows.
func (s *live) metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	body, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(body)
}

// judgings is the histogram of the time that changes took to be judged, since the start.
func judgings(families map[string]*dto.MetricFamily) *dto.Histogram {
	return families["bailey_change_judged_seconds"].GetMetric()[0].GetHistogram()
}

// judged is the time within which a share of the changes between two looks was judged: the upper bound of
// the bucket that holds it.
func judged(before, after *dto.Histogram, share float64) time.Duration {
	all := float64(after.GetSampleCount() - before.GetSampleCount())
	for i, b := range after.GetBucket() {
		if float64(b.GetCumulativeCount()-before.GetBucket()[i].GetCumulativeCount()) >= share*all {
			return time.Duration(b.GetUpperBound() * float64(time.Second))
		}
	}
	return math.MaxInt64
}

func liveClient(c *devcluster.Cluster) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

// caughtUp waits until the API server, which learns of what is in etcd by watching it, lists pods.
func caughtUp(ctx context.Context, client *kubernetes.Clientset) error {
	for end := time.Now().Add(liveLimit); ; time.Sleep(time.Second) {
		_, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// changePods labels serveChanges pods anew, one each serveEvery.
func changePods(ctx context.Context, client *kubernetes.Clientset) error {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: serveChanges})
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return errors.New("the API server lists no pods")
	}
	for i := range serveChanges {
		pod := pods.Items[i%len(pods.Items)]
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"changed":"%d"}}}`, i)
		if _, err := client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		time.Sleep(serveEvery)
	}
	return nil
}
