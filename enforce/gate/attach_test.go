package gate

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestAttach: a gate that attaches itself does so again when its configuration is gone, and says
// how it is asked. It takes the place of a gate that is surely gone, and of none that is slow, which
// it says once.
func TestAttach(t *testing.T) {
	cluster := devclustertest.Own(t)
	client := clientFor(t, cluster.Kubeconfig, "")
	api := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	webhooks := listen()
	own := "https://" + webhooks.Addr().String()
	var log lockedBuffer
	ctx, cancel := context.WithCancel(t.Context())
	var running atomic.Pointer[Gate]
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Running{
			Options: Options{Namespace: "bailey", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), Rules: &Rules{
				Lay:  func(context.Context, *bailey.Fact, *bailey.Fact) (check.Laid, error) { return check.Laid{}, nil },
				Fact: (&town{}).rules().Fact}},
			Client: client, Config: imagegate.Config{Namespace: "bailey", URL: own, RulesOnly: true},
			Keys: MemoryStore(), Webhooks: webhooks, Attach: true, CheckEvery: 100 * time.Millisecond, Drain: -1}, func(g *Gate) { running.Store(g) })
	}()
	state := func() Attachment {
		if g := running.Load(); g != nil {
			return g.Attachment()
		}
		return Attachment{Err: errors.New("it does not run yet")}
	}
	asked := func() string {
		c, err := api.Get(t.Context(), imagegate.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		return *c.Webhooks[0].ClientConfig.URL
	}
	whole := func() bool {
		s := state()
		return s.Err == nil && len(s.Deviations) == 0 && asked() == own+imagegate.RulesPath
	}
	change := func(f func(*admissionregistrationv1.ValidatingWebhookConfiguration)) {
		t.Helper()
		c, err := api.Get(t.Context(), imagegate.Name, metav1.GetOptions{})
		if err == nil {
			f(c)
			_, err = api.Update(t.Context(), c, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, whole)

	if err := api.Delete(t.Context(), imagegate.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return asked() != "" })
	await(t, whole)

	change(func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].Rules = c.Webhooks[0].Rules[:1]
	})
	await(t, func() bool { s := state(); return s.Err == nil && len(s.Deviations) > 0 })
	if err := api.Delete(t.Context(), imagegate.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, whole)

	// One that takes connections and says nothing is slow, and may be a gate.
	log.Reset()
	slow := listen()
	other := "https://" + slow.Addr().String() + imagegate.RulesPath
	change(func(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].ClientConfig.URL = &other
	})
	await(t, func() bool {
		err := state().Err
		return errors.Is(err, ErrTaken) && strings.Contains(err.Error(), "did not answer within 1s")
	})
	time.Sleep(2 * answerLimit) // it tries again, and says no more
	if n := strings.Count(log.String(), "does not ask the gate"); n != 1 || asked() != other {
		t.Errorf("it tells %d times, asked is %s, and not %s: %s", n, asked(), other, log.String())
	}
	_ = slow.Close() // now nobody is there
	await(t, whole)

	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left := asked(); left != "" {
		t.Errorf("it leaves %s", left)
	}
}

// TestGone: only where nobody listens, or whoever does has another key, is a gate surely gone.
func TestGone(t *testing.T) {
	quiet := func(s *httptest.Server) string {
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		t.Cleanup(s.Close)
		return s.URL
	}
	living, plain, closed := httptest.NewTLSServer(nil), httptest.NewServer(nil), httptest.NewTLSServer(nil)
	closed.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: living.Certificate().Raw})
	for what, test := range map[string]struct {
		url  string
		ca   []byte
		gone bool
	}{
		"it answers":              {quiet(living), ca, false},
		"nobody listens":          {closed.URL, ca, true},
		"with another key":        {living.URL, nil, true},
		"without any":             {quiet(plain), ca, false},
		"by a name that none has": {"https://gate.invalid", ca, false},
	} {
		url := strings.Replace(test.url, "http:", "https:", 1) + imagegate.RulesPath
		if err := gone(t.Context(), &admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: test.ca}); test.gone != (err == nil) || err != nil && !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
func (l *lockedBuffer) Reset()         { l.mu.Lock(); defer l.mu.Unlock(); l.b.Reset() }
