package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/devcluster"
)

func (a *app) upCommand() *cobra.Command {
	var binary, load string
	c := &cobra.Command{
		Use:   "up",
		Short: "Start a development cluster on this machine and scan it",
		Long: `Up starts a real control plane on loopback (API server, etcd, controller-manager,
scheduler; no node), loads the manifests given, scans it and prints the report.
The cluster runs until "bailey down". A second up continues the same cluster.`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return a.up(c.Context(), binary, load) },
	}
	c.Flags().StringVar(&binary, "controlplane", "", "the control plane's program (default: $"+devcluster.BinaryVariable+", the cache, or built in a checkout)")
	c.Flags().StringVar(&load, "load", "", "a folder of manifests to apply, in the order of its files")
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

func (a *app) up(ctx context.Context, binary, load string) error {
	dir, err := clusterDir()
	if err != nil {
		return err
	}
	var files []string
	if load != "" {
		if files, err = filepath.Glob(filepath.Join(load, "*.yaml")); err != nil || len(files) == 0 {
			return usageError("%s holds no *.yaml\nhint: --load wants a folder of manifests", load)
		}
	}
	found, err := devcluster.FindOrBuild(ctx, devcluster.BinaryOptions{Path: binary, Log: a.stderr})
	if err != nil {
		return err
	}
	cluster, err := devcluster.Open(dir)
	if errors.Is(err, devcluster.ErrNotRunning) {
		fmt.Fprintln(a.stderr, "Starting the control plane (about 5 seconds) ...")
		cluster, err = devcluster.Start(ctx, devcluster.Options{State: dir, Binary: found, Detach: true, Log: a.stderr})
	}
	if err != nil {
		return err
	}
	if len(files) > 0 {
		fmt.Fprintf(a.stderr, "Loading %s (about %d seconds) ...\n", load, 1+len(files))
	}
	for _, file := range files {
		if err := applyFile(ctx, cluster, file); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.stderr, "Scanning (a second) ...")
	t := targetFlags{kubeconfig: cluster.Kubeconfig}
	err = a.scanTargets(ctx, &t, &judgeFlags{failOn: "none"}, nil, "", "")
	if err != nil {
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
