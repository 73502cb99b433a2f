package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/testdata/platform"
)

// upFlags say what is brought up.
type upFlags struct {
	serveFlags
	binary, load   string
	sample, detach bool
	gateMode       string
}

func (a *app) upCommand() *cobra.Command {
	f := &upFlags{}
	c := &cobra.Command{
		Use:   "up",
		Short: "Start everything on this machine: a cluster, the server, its pages and a gate",
		Long: `Up starts a real control plane on loopback (API server, etcd, controller-manager,
scheduler; no node), loads the manifests given, and serves it as bailey serve does,
until Ctrl-C, which leaves no process behind. A second up continues with the same
data. With --context or --kubeconfig it serves that cluster and starts none.

In a cluster of its own it runs an admission gate, which warns whoever makes pods of
what a scan would fail on ("Warning: ..." in kubectl), and with --gate=enforce refuses.

With --detach it starts the cluster, scans it once, prints the report and ends: the
cluster then runs until "bailey down".`,
		Example: `  bailey up
  bailey up --sample
  bailey up --load ./manifests
  bailey up --gate=enforce
  bailey up --context staging`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains([]string{gateWarns, gateEnforces, gateOff}, f.gateMode) {
				return usageError("--gate %q is neither warn, enforce nor off", f.gateMode)
			}
			if c.Flags().Changed("gate") && (f.detach || f.target.context != "" || f.target.kubeconfig != "") {
				return usageError("--gate runs beside a cluster of up's own, for as long as up runs\nhint: leave out --detach, --context and --kubeconfig; bailey gate --print installs one elsewhere")
			}
			return a.up(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.binary, "controlplane", "", "the control plane's program (default: $"+devcluster.BinaryVariable+", the cache, or built in a checkout)")
	flags.BoolVar(&f.sample, "sample", false, "apply a sample platform, with faults that were planted")
	flags.StringVar(&f.load, "load", "", "a folder of manifests to apply, in the order of its files")
	flags.BoolVar(&f.detach, "detach", false, "leave the cluster running, and serve nothing")
	flags.StringVar(&f.gateMode, "gate", gateWarns, "what the gate does with pods that a scan would fail on: warn, enforce (refuse them), or off (no gate)")
	flags.StringVar(&f.target.config, "config", "", "the configuration (default: bailey.yaml, looked for upwards)")
	flags.StringVar(&f.target.kubeconfig, "kubeconfig", "", "serve the cluster of this kubeconfig in the place of one of its own")
	flags.StringVar(&f.target.context, "context", "", "serve the cluster of this context in the place of one of its own")
	f.registerServing(c)
	return c
}

func (a *app) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the development cluster",
		Args:  exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := clusterDir()
			if err != nil {
				return err
			}
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(a.stdout, "There is no cluster to stop.")
				return nil
			}
			if err := devcluster.Stop(c.Context(), dir); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "The cluster is stopped. Its data stays in %s; bailey up continues it.\n", dir)
			return nil
		},
	}
}

// clusterDir is where the development cluster keeps its state.
func clusterDir() (string, error) {
	home, err := stateHome()
	return filepath.Join(home, "devcluster"), err
}

// manifests gives the files that are to be applied, in their order, and what removes those that were made for it.
func (f *upFlags) manifests() (files []string, done func(), err error) {
	folder, done := f.load, func() {}
	switch {
	case f.sample && f.load != "":
		return nil, nil, usageError("--load and --sample both say what to apply\nhint: leave out one of the two")
	case f.sample:
		if folder, err = os.MkdirTemp("", "bailey-sample-"); err != nil {
			return nil, nil, err
		}
		done = func() { _ = os.RemoveAll(folder) }
		if err := os.CopyFS(folder, platform.Manifests); err != nil {
			done()
			return nil, nil, err
		}
	case folder == "":
		return nil, done, nil
	}
	if files, err = filepath.Glob(filepath.Join(folder, "*.yaml")); err != nil || len(files) == 0 {
		return nil, nil, usageError("%s holds no *.yaml\nhint: --load wants a folder of manifests", f.load)
	}
	return files, done, nil
}

func (a *app) up(ctx context.Context, f *upFlags) error {
	f.book.own, f.calm = true, true
	if f.target.context != "" || f.target.kubeconfig != "" {
		if f.detach || f.load != "" || f.sample || f.binary != "" {
			return usageError("--context and --kubeconfig serve a cluster that is there; --detach, --load, --sample and --controlplane are for one of Bailey's own\nhint: leave out one of the two")
		}
		return a.serve(ctx, &f.serveFlags)
	}
	f.own = true
	if err := f.check(); err != nil {
		return err
	}
	dir, err := clusterDir()
	if err != nil {
		return err
	}
	files, done, err := f.manifests()
	if err != nil {
		return err
	}
	defer done()
	steps := &steps{a.stderr}
	found, err := devcluster.FindOrBuild(ctx, devcluster.BinaryOptions{Path: f.binary, Log: steps})
	if err != nil {
		return err
	}
	ends := "Ctrl-C ends the server. The cluster runs until: bailey down"
	cluster, err := devcluster.Open(dir)
	if errors.Is(err, devcluster.ErrNotRunning) {
		fmt.Fprintln(a.stderr, "Starting the control plane (about 5 seconds) ...")
		cluster, err = devcluster.Start(ctx, devcluster.Options{State: dir, Binary: found, Detach: f.detach, Log: steps})
		if err == nil && !f.detach {
			defer a.stop(ctx, cluster)
			ends = "Ctrl-C ends all of it. The next bailey up continues with its data."
		}
	}
	if err != nil {
		return err
	}
	// What a gate left that was killed would be asked in vain from here on.
	if err := f.openData(); err != nil {
		return err
	}
	if err := f.openHallmark(a.now); err != nil {
		return err
	}
	another := clearGate(ctx, cluster.Kubeconfig, f.hallmark)
	if another != nil && !errors.Is(another, gate.ErrTaken) {
		return another
	}
	if len(files) > 0 {
		fmt.Fprintf(a.stderr, "Loading %s (about %d seconds) ...\n", cmp.Or(f.load, "the sample platform"), 1+len(files))
	}
	for _, file := range files {
		if err := applyFile(ctx, cluster, file); err != nil {
			return err
		}
	}
	done()
	if f.detach {
		return a.scanDetached(ctx, cluster)
	}
	f.target.kubeconfig = cluster.Kubeconfig
	if f.auditLog == "" {
		f.auditLog = cluster.AuditLog
	}
	f.notes = append(f.notes, "To use the cluster with kubectl, and with other commands:\n  export KUBECONFIG="+cluster.Kubeconfig)
	switch {
	case f.gateMode == gateOff:
	case another != nil:
		f.notes = append(f.notes, "No gate is started: "+printable(another.Error()))
	default:
		// It listens before anything of the cluster is read: by its address it is known there.
		if f.gateAt, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		defer f.gateAt.Close()
		f.gate, f.target.ownGate = f.gateMode, gateConfig(f.gateAt, f.gateMode == gateWarns)
		f.notes = append(f.notes, map[string]string{
			gateWarns:    "The gate warns of pods that a scan would fail on; bailey up --gate=enforce refuses them.",
			gateEnforces: "The gate refuses pods that a scan would fail on.",
		}[f.gate])
	}
	f.notes = append(f.notes, ends)
	return a.serve(ctx, &f.serveFlags)
}

// steps shows lines as parts of what was said before.
type steps struct{ to io.Writer }

func (s *steps) Write(line []byte) (int, error) {
	_, err := fmt.Fprintf(s.to, "  %s", line)
	return len(line), err
}

// stop ends the cluster that up started. Its data stays.
func (a *app) stop(ctx context.Context, cluster *devcluster.Cluster) {
	fmt.Fprintln(a.stderr, "Stopping the control plane ...")
	if err := cluster.Stop(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintf(a.stderr, "bailey: %s\n", printable(err.Error()))
	}
}

// scanDetached scans the cluster once, and says how to go on with it.
func (a *app) scanDetached(ctx context.Context, cluster *devcluster.Cluster) error {
	fmt.Fprintln(a.stderr, "Scanning (a second) ...")
	t := targetFlags{kubeconfig: cluster.Kubeconfig}
	if err := a.scanTargets(ctx, &t, &judgeFlags{failOn: "none"}, nil, "", ""); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nThe cluster runs until: bailey down\nUse it with kubectl, and with the commands above, after:\n  export KUBECONFIG=%s\n", cluster.Kubeconfig)
	return nil
}

// applyLimit bounds the wait for what a file needs, such as the ServiceAccount
// that the controllers make in a new namespace.
const applyLimit = 30 * time.Second

// apply applies a file, and again for a while: controllers may have to make
// something that its objects need first.
func applyFile(ctx context.Context, cluster *devcluster.Cluster, file string) error {
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	for {
		_, err := cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", file)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s could not be loaded: %w\nhint: bailey down, then try again", file, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
