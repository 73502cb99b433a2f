package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// targetFlags say what to read and how.
type targetFlags struct {
	config      string
	kubeconfig  string
	context     string
	namespaces  []string
	version     string
	values      []string
	sets        []string
	configz     bool
	images      imageFlags
	loadedState *config
	host        bool // the target is the machine itself
	hosts       []string
	ownGate     *imagegate.Config // of the gate that up runs, whose webhook configuration is left out; nil: none runs
	// watched, if set, gives the cluster as it is watched, with its hosts, in the place of reading it; nil
	// while it is not seen.
	watched func() *bailey.Snapshot
	// whole, if set, is shown each object before it is cut down to what rules read.
	whole func(apiVersion, kind string, object any)
	// overlay holds texts that are read in the place of files; see manifests.Options.
	overlay map[string][]byte
	// each, if set, is shown each object of files; see manifests.Options.
	each func(f *bailey.Fact, tree func() any)
}

const targetHelp = `
A TARGET is a folder, a file, a Helm chart, a kustomization, a saved snapshot,
or - for standard input. Without one, the current cluster is read.`

func (t *targetFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.config, "config", "", "the configuration (default: bailey.yaml, looked for upwards)")
	f.StringVar(&t.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: as kubectl)")
	f.StringVar(&t.context, "context", "", "context of the kubeconfig")
	f.StringSliceVarP(&t.namespaces, "namespace", "n", nil, "cluster: only these namespaces; files: the first is the default namespace")
	f.StringVar(&t.version, "kubernetes-version", "", "judge files at this version, like 1.36 (default: "+bailey.LatestVersion.String()+")")
	f.StringSliceVarP(&t.values, "values", "f", nil, "values files for Helm charts")
	f.StringArrayVar(&t.sets, "set", nil, "values for Helm charts, like image.tag=1.2")
	f.StringSliceVar(&t.hosts, "hosts", nil, "also what machines showed of themselves: files that bailey scan host --save wrote")
	f.BoolVar(&t.configz, "kubelet-configz", false, "read each kubelet's configuration from the kubelet (needs nodes/configz)")
}

// load reads the configuration once.
func (t *targetFlags) load() (*config, error) {
	if t.loadedState == nil {
		c, err := loadConfig(t.config)
		if err != nil {
			return nil, err
		}
		t.loadedState = c
	}
	return t.loadedState, nil
}

// snapshot reads the targets. Nothing read is an error of its own.
func (a *app) snapshot(ctx context.Context, t *targetFlags, targets []string) (*bailey.Snapshot, error) {
	if t.watched != nil {
		if s := t.watched(); s != nil {
			return s, nil
		}
		return nil, errors.New("the cluster is not seen yet")
	}
	conf, err := t.load()
	if err != nil {
		return nil, err
	}
	p := a.newProgress()
	defer p.end()
	var s *bailey.Snapshot
	switch {
	case len(targets) == 0:
		s, err = kube.Collect(ctx, kube.Options{Kubeconfig: t.kubeconfig, Context: t.context, Namespaces: t.namespaces,
			KubeletConfigz: t.configz, UserAgent: "bailey/" + version, Offline: a.offline, Progress: p.step, Whole: t.whole})
	case t.context != "" || t.kubeconfig != "":
		return nil, usageError("--context and --kubeconfig choose a cluster, and %s is a file\nhint: leave out one of the two", targets[0])
	case len(targets) == 1 && isSnapshot(targets[0]):
		if len(t.namespaces) > 0 || t.version != "" {
			return nil, usageError("a snapshot is judged whole, at the version that it was taken at\nhint: leave out -n and --kubernetes-version; snapshot save takes -n")
		}
		p.step(0, 1, "reading "+targets[0])
		s, err = saved.ReadFile(targets[0])
	default:
		s, err = a.manifests(ctx, t, conf, targets)
	}
	if err != nil {
		return nil, err
	}
	if s.Len() == 0 {
		return nil, nothingScanned(s)
	}
	if t.ownGate != nil {
		s = withoutGate(s, t.ownGate)
	}
	if s, err = withHosts(s, t.hosts); err != nil {
		return nil, err
	}
	return a.withImages(ctx, &t.images, conf, s, p, len(targets) == 1 && isSnapshot(targets[0]))
}

func (a *app) manifests(ctx context.Context, t *targetFlags, conf *config, targets []string) (*bailey.Snapshot, error) {
	for _, target := range targets {
		if isSnapshot(target) {
			return nil, usageError("%s is a snapshot, which is read by itself\nhint: scan it alone", target)
		}
		if target == "-" {
			continue
		}
		if _, err := os.Stat(target); err != nil {
			return nil, usageError("%s cannot be read: %w\nhint: a TARGET is a path, or nothing for the current cluster; a context is chosen by --context", target, errors.Unwrap(err))
		}
	}
	o, err := a.fileOptions(t, conf)
	if err != nil {
		return nil, err
	}
	return unlessEnded(ctx, func() (*bailey.Snapshot, error) { return manifests.Collect(ctx, targets, o) })
}

// fileOptions says how files are read.
func (a *app) fileOptions(t *targetFlags, conf *config) (o manifests.Options, err error) {
	complete, err := conf.complete()
	if err != nil {
		return o, err
	}
	o = manifests.Options{Stdin: a.stdin, Values: t.values, Set: t.sets, Complete: complete, Whole: t.whole, Overlay: t.overlay, Each: t.each}
	if len(t.namespaces) > 0 {
		o.Namespace = t.namespaces[0]
	}
	for _, text := range []string{t.version, conf.KubernetesVersion} {
		if text == "" {
			continue
		}
		if o.Version, err = bailey.ParseVersion(text); err != nil {
			return o, usageError("kubernetes-version: %w", err)
		}
		break
	}
	o.At = a.now()
	return o, nil
}

// nothingScanned says what there was in the place of objects.
func nothingScanned(s *bailey.Snapshot) error {
	text := "nothing was scanned"
	for _, target := range s.Meta.Targets {
		text += fmt.Sprintf("\n  %s: no Kubernetes object in it", target.Name)
		for _, skip := range target.Skipped[:min(len(target.Skipped), 5)] {
			text += fmt.Sprintf("\n    %s: %s", skip.What, skip.Why)
		}
	}
	return &exitError{exitNothing, errors.New(text + "\nhint: a result needs at least one object; is it the right path, and does the identity have the rights?")}
}

// unlessEnded runs read and waits for it until ctx ends: a read of a pipe or a
// terminal cannot be interrupted.
func unlessEnded(ctx context.Context, read func() (*bailey.Snapshot, error)) (*bailey.Snapshot, error) {
	type outcome struct {
		snapshot *bailey.Snapshot
		err      error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := read()
		done <- outcome{s, err}
	}()
	select {
	case o := <-done:
		return o.snapshot, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// isSnapshot reports whether the path is a file that `bailey snapshot save`
// wrote. Only a regular file is looked into: what is read of a pipe is gone.
func isSnapshot(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || path == "-" {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	beginning := make([]byte, len(saved.Mark)+8)
	n, _ := io.ReadFull(f, beginning)
	return saved.IsSnapshot(beginning[:n])
}
