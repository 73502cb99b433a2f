package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/ledger/audit"
)

const (
	// sinkMemory is what the garbage collector keeps to, beside what is in flight.
	sinkMemory = 160 << 20
	// drainLimit bounds the end: an API server gives up a request after 30 s itself.
	drainLimit = 30 * time.Second
)

// auditFlags are those of `bailey ledger audit`.
type auditFlags struct {
	listen, cert, key, clientCA, tokenFile string
	plain                                  bool
	logs, metrics                          []string
	state                                  string
	every, settle                          time.Duration
	maxBody                                int64
	printConfig                            bool
	url, serverCA                          string
}

func (a *app) ledgerAuditCommand() *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "audit DIR",
		Short: "Take an API server's audit events into the ledger, and prove that none is missing",
		Long: `Audit is the sink of the API servers' audit webhook. It answers once a batch is
on the disk, keeps an event that comes twice once, and says at intervals whether
events are missing: it compares each API server's own counters with what came.
What it finds is a record of the ledger.

  bailey ledger init DIR
  bailey ledger audit --print-webhook-config --url https://sink.example:8443/cp-1 \
      --server-ca ca.crt --tls-cert client.crt --tls-key client.key
  bailey ledger audit DIR --listen :8443 --tls-cert tls.crt --tls-key tls.key \
      --client-ca ca.crt --metrics-from cp-1=cp-1.kubeconfig

Each API server posts to a path of its own, which is its name here, and each
NAME=KUBECONFIG leads to that one API server and no load balancer.`,
		Args: func(_ *cobra.Command, args []string) error {
			if want := 1; !f.printConfig && len(args) != want || len(args) > want {
				return usageError("audit wants the folder of a ledger\nhint: bailey ledger init DIR makes one")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.printConfig {
				return a.printWebhookConfig(&f)
			}
			return a.ledgerAudit(c.Context(), args[0], &f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.listen, "listen", "", "address to serve the audit webhook on, like :8443")
	flags.StringVar(&f.cert, "tls-cert", "", "file with the certificate (with --print-webhook-config: the API server's, on its machine)")
	flags.StringVar(&f.key, "tls-key", "", "file with the certificate's key")
	flags.StringVar(&f.clientCA, "client-ca", "", "file with the CA of the API servers' client certificates")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with a bearer token that the API servers send")
	flags.BoolVar(&f.plain, "plain-http", false, "serve without TLS, on a loopback address only")
	flags.StringArrayVar(&f.metrics, "metrics-from", nil, "[NAME=]KUBECONFIG: read this API server's counters and send it canaries")
	flags.StringArrayVar(&f.logs, "log", nil, "[NAME=]FILE: read this API server's audit log, and go on as it grows")
	flags.StringVar(&f.state, "state", "", "folder for the account of what came (default: DIR.audit)")
	flags.DurationVar(&f.every, "every", audit.DefaultEvery, "how often counters are read and canaries sent")
	flags.DurationVar(&f.settle, "settle", audit.DefaultSettle, "how long an event may be under way before it counts as missing")
	flags.Int64Var(&f.maxBody, "max-body", audit.DefaultMaxBody, "bytes of one request")
	flags.BoolVar(&f.printConfig, "print-webhook-config", false, "print what an API server has to be given, and end")
	flags.StringVar(&f.url, "url", "", "with --print-webhook-config: the sink's address, https://HOST:PORT/NAME")
	flags.StringVar(&f.serverCA, "server-ca", "", "with --print-webhook-config: file with the CA of the sink's certificate")
	return c
}

func (a *app) printWebhookConfig(f *auditFlags) error {
	if !strings.HasPrefix(f.url, "https://") && !strings.HasPrefix(f.url, "http://") {
		return usageError("--print-webhook-config wants --url https://HOST:PORT/NAME, with a name for the API server")
	}
	w := audit.Webhook{URL: f.url, ClientCertificate: f.cert, ClientKey: f.key}
	if f.serverCA != "" {
		pem, err := os.ReadFile(f.serverCA)
		if err != nil {
			return fmt.Errorf("the CA of the sink's certificate: %w\nhint: --server-ca names a PEM file", err)
		}
		w.CA = pem
	}
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return fmt.Errorf("the token: %w\nhint: --token-file names a file that holds it", err)
		}
		w.Token = strings.TrimSpace(string(token))
	}
	fmt.Fprintf(a.stdout, "# For --audit-webhook-config-file of the API server, mode 0600. Its other flags:\n#   %s\n# An audit policy (--audit-policy-file) is needed as well, and it must record GET /metrics.\n%s",
		strings.Join(audit.WebhookFlags, "\n#   "), w.Kubeconfig())
	return nil
}

// probers reads the kubeconfigs of --metrics-from.
func (f *auditFlags) probers(offline bool) ([]audit.Prober, error) {
	if offline && len(f.metrics) > 0 {
		return nil, usageError("--metrics-from asks API servers, which --offline forbids")
	}
	var probers []audit.Prober
	seen := map[string]bool{}
	for _, text := range f.metrics {
		name, path, named := strings.Cut(text, "=")
		if !named {
			name, path = audit.DefaultAPIServer, text
		}
		if !audit.ValidAPIServer(name) || seen[name] {
			return nil, usageError("--metrics-from %s: the name %q is not a DNS name, or is there twice\nhint: NAME=KUBECONFIG, with the name that is the path of that API server's webhook", text, name)
		}
		seen[name] = true
		if _, err := os.Stat(path); err != nil {
			return nil, usageError("--metrics-from %s: %w\nhint: NAME=KUBECONFIG, a file", text, err)
		}
		config, err := kube.RESTConfig(path, "")
		if err != nil {
			return nil, fmt.Errorf("--metrics-from %s: %w", text, err)
		}
		p, err := newProber(name, config)
		if err != nil {
			return nil, fmt.Errorf("--metrics-from %s: %w", text, err)
		}
		probers = append(probers, p)
	}
	return probers, nil
}

func newProber(name string, config *rest.Config) (audit.Prober, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return audit.Prober{}, err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return audit.Prober{}, err
	}
	return audit.Prober{APIServer: name, URL: base.Scheme + "://" + base.Host, Client: client, UserAgent: "bailey/" + version}, nil
}

func (a *app) ledgerAudit(ctx context.Context, dir string, f *auditFlags) (err error) {
	logs, err := f.auditLogs()
	if err != nil {
		return err
	}
	if f.listen == "" && len(logs) == 0 {
		return usageError("nothing to take events from\nhint: --listen ADDRESS serves the audit webhook, --log FILE reads an audit log")
	}
	probers, err := f.probers(a.offline)
	if err != nil {
		return err
	}
	tuneServer(100, sinkMemory)
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: a.logLevel()}))
	quietLog()
	book, err := ledger.Open(ctx, dir, ledger.Options{Now: a.now})
	if err != nil {
		return err
	}
	// What was taken is finished and signed, however this ends.
	ending := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	}
	defer func() {
		ctx, cancel := ending()
		defer cancel()
		err = errors.Join(err, book.Close(ctx))
	}()
	if f.state == "" {
		f.state = filepath.Clean(dir) + ".audit"
	}
	sink, err := audit.NewSink(audit.Options{Append: book.Append, Find: book.Find, State: f.state, Settle: f.settle, Log: log, Now: a.now})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := ending()
		defer cancel()
		err = errors.Join(err, sink.Close(ctx))
		log.Info("stopped", "events", sink.Total())
	}()
	var server *audit.Server
	var listener net.Listener
	if f.listen != "" {
		if server, err = audit.NewServer(audit.ServerOptions{Sink: sink, Log: log, Certificate: f.cert, Key: f.key,
			ClientCA: f.clientCA, TokenFile: f.tokenFile, PlainHTTP: f.plain, MaxBody: f.maxBody}); err != nil {
			return err
		}
		if listener, err = net.Listen("tcp", f.listen); err != nil {
			return fmt.Errorf("%w\nhint: --listen wants an address of this machine and a free port", err)
		}
		log.Info("taking audit events", "listen", listener.Addr().String(), "ledger", dir)
	}
	if len(probers) == 0 {
		log.Warn("no counters are read, so whether events are missing will be unknown", "hint", "--metrics-from NAME=KUBECONFIG")
	}
	work, ctx := errgroup.WithContext(ctx)
	sink.Probe(probers)
	work.Go(func() error { sink.Prove(ctx, f.every, probers); return nil })
	for _, l := range logs {
		log.Info("reading an audit log", "apiServer", l.apiServer, "file", l.path)
		work.Go(func() error { return l.follow(ctx, sink, log, f.state) })
	}
	if server != nil {
		work.Go(func() error { return server.Serve(listener) })
		work.Go(func() error {
			<-ctx.Done()
			ctx, cancel := ending()
			defer cancel()
			return server.Shutdown(ctx)
		})
	}
	return work.Wait()
}

func (a *app) logLevel() slog.Level {
	if a.quiet {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
