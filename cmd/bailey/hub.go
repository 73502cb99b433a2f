package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/store"
)

// hubFlags say where the hub's history is, and what becomes of a cluster.
type hubFlags struct {
	data, database string
	name           string
}

func (a *app) hubCommand() *cobra.Command {
	f := &hubFlags{}
	c := &cobra.Command{
		Use:   "hub",
		Short: "Say which clusters' servers may push to this hub",
		Long: `A hub is bailey serve --hub: it shows what the servers of other clusters, its spokes, push
to it by bailey serve --push-to. It holds no credential of any of them. Each pushes with a
token that writes its one cluster.

These commands work on the hub's history, while the hub runs or not.`,
	}
	c.PersistentFlags().StringVar(&f.data, "data", "", "the hub's data folder (default: server/ in the state folder)")
	c.PersistentFlags().StringVar(&f.database, "database", "", "the hub's PostgreSQL: a file that holds its URL")
	token := &cobra.Command{
		Use:   "token UID",
		Short: "Make the token with which a cluster's server pushes",
		Long: `Token prints a new token for the server that watches the cluster with this UID: that of its
namespace kube-system (kubectl get namespace kube-system -o jsonpath={.metadata.uid}), or
for files what bailey serve says. It is shown once; the hub keeps its hash. One that was made
before for the cluster is no longer taken.`,
		Example: `  bailey hub token 0b0c7f5e-3c0e-4f0a-9d52-6a1b5d1c9e11 --name production > push-token`,
		Args:    exactArgs(1, "a UID"),
		RunE:    func(c *cobra.Command, args []string) error { return a.hubToken(c.Context(), f, args[0]) },
	}
	token.Flags().StringVar(&f.name, "name", "", "what the cluster is called until its server says")
	revoke := &cobra.Command{
		Use:   "revoke UID",
		Short: "Take no more pushes of a cluster",
		Long:  `Revoke ends the token of the cluster with this UID, at once. What was pushed stays.`,
		Args:  exactArgs(1, "a UID"),
		RunE:  func(c *cobra.Command, args []string) error { return a.hubRevoke(c.Context(), f, args[0]) },
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the clusters, and which of them push",
		Args:  exactArgs(0, ""),
		RunE:  func(c *cobra.Command, _ []string) error { return a.hubList(c.Context(), f) },
	}
	c.AddCommand(token, revoke, list)
	return c
}

// withHub opens the hub's history.
func (a *app) withHub(ctx context.Context, f *hubFlags, do func(s *store.Store) error) (err error) {
	if f.data, err = dataFolder(f.data); err != nil {
		return err
	}
	s, err := openStore(ctx, f.data, f.database)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// clusterUID is a cluster's UID, or what stands for that of files.
var clusterUID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (a *app) hubToken(ctx context.Context, f *hubFlags, uid string) error {
	if !clusterUID.MatchString(uid) {
		return usageError("%q is no UID of a cluster\nhint: kubectl get namespace kube-system -o jsonpath={.metadata.uid}", uid)
	}
	return a.withHub(ctx, f, func(s *store.Store) error {
		switch _, err := s.Cluster(ctx, uid); {
		case errors.Is(err, store.ErrNotFound):
			if f.name == "" {
				f.name = uid
			}
			if err := s.PutCluster(ctx, uid, f.name, a.now()); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		token := "bailey-push-" + rand.Text() + rand.Text()
		if err := s.SetToken(ctx, uid, store.HashToken(token)); err != nil {
			return err
		}
		if err := a.hubDid(ctx, s, uid, "make push token"); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, token)
		return nil
	})
}

func (a *app) hubRevoke(ctx context.Context, f *hubFlags, uid string) error {
	return a.withHub(ctx, f, func(s *store.Store) error {
		switch err := s.SetToken(ctx, uid, ""); {
		case errors.Is(err, store.ErrNotFound):
			return usageError("the hub knows no cluster %q\nhint: bailey hub list", uid)
		case err != nil:
			return err
		}
		return a.hubDid(ctx, s, uid, "revoke push token")
	})
}

// hubDid keeps what was done.
func (a *app) hubDid(ctx context.Context, s *store.Store, uid, action string) error {
	return s.Audit(ctx, uid, a.now(), store.Action{At: a.now(), Who: "who may write the hub's history", Action: action, Target: uid, Outcome: "done"})
}

func (a *app) hubList(ctx context.Context, f *hubFlags) error {
	return a.withHub(ctx, f, func(s *store.Store) error {
		clusters, err := s.Clusters(ctx)
		if err != nil {
			return err
		}
		if len(clusters) == 0 {
			fmt.Fprintln(a.stdout, "No cluster is known.")
		}
		for _, c := range clusters {
			pushes := "no token"
			if c.Pushes {
				pushes = "pushes"
			}
			heard := "never heard of"
			if !c.Judged.IsZero() {
				heard = "heard of " + c.Heard.Format("2006-01-02 15:04:05Z")
			}
			fmt.Fprintf(a.stdout, "%s  %s  %s  %s\n", c.UID, pushes, heard, printable(c.Name))
		}
		return nil
	})
}
