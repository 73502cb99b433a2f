package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/trust"
)

// gateGrowth is the garbage in percent that may gather in a gate: its cache is all that
// grows, and a node has many pods to hold besides.
const gateGrowth = 75

// The modes of a gate, by the names that Pod Security gives them.
const (
	gateEnforces = "enforce"
	gateWarns    = "warn"
	gateOff      = "off" // of up, which then starts none
)

// gateFlags are those of `bailey gate`.
type gateFlags struct {
	policy, namespace, service, url string
	kubeconfig, context             string
	listen, health                  string
	cert, key, grantKey             string
	ledger                          string
	recipients                      []string
	pin                             string
	registryCA                      string
	plainRegistries                 []string
	drain                           time.Duration
	rules                           []string
	snapshotEvery                   time.Duration
	refuseStale                     bool
	waivers                         string
	mode                            string

	print     bool
	image     string
	replicas  int32
	apiServer []net.IPNet
}

func (a *app) gateCommand() *cobra.Command {
	var f gateFlags
	c := &cobra.Command{
		Use:   "gate",
		Short: "Admit only images that somebody vouches for: the admission webhook",
		Long: `Gate is an admission webhook. It pins tags to digests, and asks of every image
that comes in, in whatever kind of object and container, for what the trust policy
wants: signatures, SBOM, provenance. What it cannot decide it refuses.

  bailey gate --print --policy trust.yaml --image registry.example.com/bailey@sha256:... \
      --ledger-recipient age1... | kubectl apply -f -

prints what installs it. With --rules it also refuses what would be a new finding of
these rules, beside what the cluster holds. docs/gate.md says how it decides, what it leaves alone, and
how somebody may let an image in that nobody vouches for (bailey gate grant).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.pin != "workloads" && f.pin != "pods" {
				return usageError("--pin %q is neither workloads nor pods", f.pin)
			}
			if f.mode != gateWarns && f.mode != gateEnforces {
				return usageError("--mode %q is neither enforce nor warn", f.mode)
			}
			if f.snapshotEvery < time.Second {
				return usageError("--snapshot-every %s is less than a second", f.snapshotEvery)
			}
			if f.waivers != "" && len(f.rules) == 0 {
				return usageError("--waivers is about findings of rules, and there are none\nhint: --rules names them")
			}
			if f.policy == "" && !(f.print && f.url != "") {
				return usageError("the gate has no trust policy\nhint: --policy FILE; docs/gate.md shows one")
			}
			if f.print {
				return a.printGate(&f)
			}
			return a.gate(c.Context(), &f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.policy, "policy", "", "the trust policy's file; it is read again when it changes")
	flags.StringVar(&f.namespace, "namespace", "bailey", "the gate's own namespace, which is exempt")
	flags.StringVar(&f.service, "service", imagegate.Name, "the gate's Service in it")
	flags.StringVar(&f.url, "url", "", "where the API server finds the gate, if not by the Service: https://HOST:PORT")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file (default: the pod's ServiceAccount, $KUBECONFIG or ~/.kube/config)")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&f.listen, "listen", ":8443", "address of the webhooks")
	flags.StringVar(&f.health, "health-listen", ":8081", "address of /livez, /readyz and /metrics, in plain HTTP")
	flags.StringVar(&f.cert, "tls-cert", "", "file with the serving certificate, kept by somebody else (default: the gate makes its own)")
	flags.StringVar(&f.key, "tls-key", "", "file with its key")
	flags.StringVar(&f.grantKey, "grant-key", "", "with --tls-cert: file with the key of break-glass seals, 32 bytes or more, the same for all replicas")
	flags.StringVar(&f.ledger, "ledger", "", "folder of the decision log's ledger; made if it is not there (needed for break-glass)")
	flags.StringArrayVar(&f.recipients, "ledger-recipient", nil, "age public key whose holder reads the decision log, for a ledger that is made (repeat)")
	flags.StringVar(&f.mode, "mode", gateEnforces, "enforce: refuse; or warn: let everything through, change nothing, and warn of what would be refused")
	flags.StringVar(&f.pin, "pin", "workloads", "what tags are pinned in: workloads (templates too), or pods alone")
	flags.StringVar(&f.registryCA, "registry-ca", "", "file with more CAs of registries")
	flags.StringArrayVar(&f.plainRegistries, "plain-http-registry", nil, "registry that is spoken to without TLS (repeat)")
	flags.DurationVar(&f.drain, "drain", 10*time.Second, "how long to go on answering when it is to end")
	flags.StringSliceVar(&f.rules, "rules", nil, "refuse what would be a new finding of these rules or controls, beside what the cluster holds")
	flags.DurationVar(&f.snapshotEvery, "snapshot-every", 5*time.Minute, "with --rules: how often the cluster is read")
	flags.BoolVar(&f.refuseStale, "refuse-stale", false, "with --rules: refuse what a rule cannot judge, since the cluster or a kind that it needs was not read")
	flags.StringVar(&f.waivers, "waivers", "", "with --rules: a bailey.yaml whose waivers let requests through, with a warning; it is read again when it changes")
	flags.BoolVar(&f.print, "print", false, "print what installs the gate, and end")
	flags.StringVar(&f.image, "image", "", "with --print: the image of Bailey, by digest")
	flags.IPNetSliceVar(&f.apiServer, "api-server", nil, "with --print: networks (192.0.2.4/32) from which the API server asks: nobody else reaches the webhooks (default: anybody)")
	flags.Int32Var(&f.replicas, "replicas", 2, "with --print: how many replicas")
	c.AddCommand(a.gateGrantCommand())
	return c
}

func (f *gateFlags) config() imagegate.Config {
	return imagegate.Config{Namespace: f.namespace, Service: f.service, URL: strings.TrimSuffix(f.url, "/"), PinPods: f.pin == "pods", Rules: len(f.rules) > 0, Warn: f.mode == gateWarns}
}

func (a *app) gate(ctx context.Context, f *gateFlags) (err error) {
	if (f.cert == "") != (f.key == "") {
		return usageError("--tls-cert and --tls-key go together")
	}
	policy, err := trust.Load(f.policy)
	if err != nil {
		return fmt.Errorf("the trust policy: %w", err)
	}
	rules, err := a.gateRules(f)
	if err != nil {
		return err
	}
	waivers, err := newGateWaivers(f.waivers)
	if err != nil {
		return err
	}
	if rules != nil {
		rules.Waivers = waivers.get
	}
	registries, err := gateRegistry(f.registryCA, f.plainRegistries)
	if err != nil {
		return err
	}
	config, err := kube.RESTConfig(f.kubeconfig, f.context)
	if err != nil {
		return err
	}
	config.UserAgent, config.QPS, config.Burst = "bailey-gate/"+version, 50, 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	tuneServer(gateGrowth, math.MaxInt64) // with --rules it holds a snapshot, whose size nobody knows
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: a.logLevel()}))
	quietLog()
	make := func(p *trust.Policy) *gate.Trust { return gateTrust(p, registries, a.now) }
	running := gate.Running{
		Options: gate.Options{Trust: make(policy), Namespace: f.namespace, PinPodsOnly: f.pin == "pods", Warn: f.mode == gateWarns, Rules: rules, Log: log, Now: a.now},
		Client:  client, Config: f.config(), CertFile: f.cert, KeyFile: f.key, Drain: f.drain,
	}
	if f.drain == 0 {
		running.Drain = -1
	}
	if f.grantKey != "" {
		if running.GrantKey, err = os.ReadFile(f.grantKey); err != nil || len(running.GrantKey) < 32 {
			return errors.Join(err, fmt.Errorf("--grant-key %s holds no 32 bytes\nhint: openssl rand -out FILE 32", f.grantKey))
		}
	}
	if f.ledger != "" {
		close, err := a.gateLedger(ctx, f, log, &running.Options)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, close()) }()
		running.Grants = gate.ClusterGrants(client, nil)
	} else {
		log.Warn("without --ledger decisions are in this log alone, and there is no break-glass")
	}
	if running.Webhooks, err = net.Listen("tcp", f.listen); err != nil {
		return fmt.Errorf("%w\nhint: --listen wants an address of this machine and a free port", err)
	}
	if running.Health, err = net.Listen("tcp", f.health); err != nil {
		return fmt.Errorf("%w\nhint: --health-listen wants an address of this machine and a free port", err)
	}
	log.Info("serving", "mode", f.mode, "webhooks", running.Webhooks.Addr().String(), "health", running.Health.Addr().String(), "policy", policy.Revision())
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		waivers.follow(ctx, log)
		return nil
	})
	work.Go(func() error {
		err := gate.Run(ctx, running, func(g *gate.Gate) {
			work.Go(func() error {
				followPolicy(ctx, g, f.policy, policy.Revision(), log, make)
				return nil
			})
		})
		if err == nil {
			log.Info("stopped")
		}
		return err
	})
	return work.Wait()
}

// gateLedger opens the decision log, and makes it where there is none.
func (a *app) gateLedger(ctx context.Context, f *gateFlags, log *slog.Logger, o *gate.Options) (close func() error, err error) {
	if _, err := os.Stat(filepath.Join(f.ledger, "ledger.json")); errors.Is(err, os.ErrNotExist) {
		if len(f.recipients) == 0 {
			return nil, usageError("--ledger %s is none yet, and would be readable by this machine alone\nhint: --ledger-recipient age1..., or bailey ledger init", f.ledger)
		}
		made, err := ledger.Init(ctx, f.ledger, ledger.InitOptions{Recipients: f.recipients})
		if err != nil {
			return nil, err
		}
		log.Info("a ledger was made; whoever verifies it needs its key", "ledger", f.ledger, "key", made.Key)
	}
	book, err := ledger.Open(ctx, f.ledger, ledger.Options{Now: a.now, Offline: a.offline})
	if err != nil {
		return nil, err
	}
	name := os.Getenv("POD_NAME")
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			name = "gate"
		}
	}
	o.Record = gate.NewRecorder(name, log, func(ctx context.Context, records []gate.Record) error {
		entries := make([]ledger.Record, len(records))
		for i, r := range records {
			entries[i] = ledger.Record{ID: r.ID, Data: json.RawMessage(r.Data)}
		}
		_, err := book.Append(ctx, entries...)
		return err
	})
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		return errors.Join(o.Record.Close(ctx), book.Close(ctx))
	}, nil
}
