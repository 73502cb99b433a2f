package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// stateHome is where Bailey keeps what lasts: $XDG_STATE_HOME/bailey.
func stateHome() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no folder for Bailey's state: %w\nhint: set XDG_STATE_HOME", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "bailey"), nil
}

// clusterState is the folder of one cluster: evidence/, runs/ and the signing key.
func clusterState(uid string) (string, error) {
	if uid == "" || strings.ContainsAny(uid, "/\\") || strings.HasPrefix(uid, ".") {
		return "", fmt.Errorf("the cluster's UID is not known, and evidence belongs to a cluster\nhint: the identity needs get on the namespace kube-system")
	}
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, uid), nil
}

// trusted gives the keys whose evidence counts: those of the configuration, or
// else the state folder's own.
func (c *config) trusted(state string) ([]ed25519.PublicKey, error) {
	paths := make([]string, 0, len(c.Trust)+1)
	for _, path := range c.Trust {
		paths = append(paths, c.relative(path))
	}
	if own := filepath.Join(state, "evidence.pub"); len(paths) == 0 {
		if _, err := os.Stat(own); err != nil {
			return nil, nil // nothing was proven from here yet
		}
		paths = append(paths, own)
	}
	return readPublicKeys(paths)
}

func readPublicKeys(paths []string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, path := range paths {
		data, err := readBounded(path, 64<<10)
		if err != nil {
			return nil, usageError("the public key %s: %w", path, err)
		}
		key, err := prove.ParsePublic(data)
		if err != nil {
			return nil, usageError("the public key %s: %w\nhint: a trusted key is a PEM file, like evidence.pub in the state folder", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// archiveMargin is how far in the past a moment is of which the archive is read too:
// no verdict of a later one rests on what is in it.
const archiveMargin = 24 * time.Hour

// evidence gives what was proven of the snapshot's cluster by signers that are
// trusted, and warns of what does not count. A snapshot of files has none.
func (a *app) evidence(ctx context.Context, conf *config, s *bailey.Snapshot) ([]bailey.Evidence, error) {
	if s.Meta.ClusterUID == "" {
		return nil, nil
	}
	kept, err := a.kept(ctx, conf, s.Meta.ClusterUID, s.Meta.At)
	if err != nil {
		return nil, err
	}
	var all []bailey.Evidence
	for _, k := range kept {
		all = append(all, k.Summary.Evidence)
	}
	return all, nil
}

// kept gives the pieces of evidence of a cluster that count at a moment, and warns of
// those that do not.
func (a *app) kept(ctx context.Context, conf *config, uid string, at time.Time) ([]prove.Kept, error) {
	state, err := clusterState(uid)
	if err != nil {
		return nil, err
	}
	trusted, err := conf.trusted(state)
	if err != nil {
		return nil, err
	}
	kept, err := prove.Load(ctx, filepath.Join(state, "evidence"), trusted,
		prove.Reading{Since: at.Add(-evidenceHorizon), Archived: at.Before(a.now().Add(-archiveMargin))})
	if err != nil {
		return nil, fmt.Errorf("the evidence could not be read: %w", err)
	}
	var counts []prove.Kept
	var refused, doubted []error
	for _, k := range kept {
		switch {
		case k.Err == nil && k.Summary.Cluster.UID != uid:
			k.Err = fmt.Errorf("%s is of another cluster", k.Path)
			fallthrough
		case k.Err != nil:
			refused = append(refused, k.Err)
			continue
		case k.Doubt != nil:
			doubted = append(doubted, k.Doubt)
		}
		counts = append(counts, k)
	}
	if len(refused) > 0 {
		fmt.Fprintf(a.stderr, "%s of %d pieces of evidence does not count: %s\n", plural(len(refused), "piece"), len(kept), printable(refused[0].Error()))
	}
	if len(doubted) > 0 {
		fmt.Fprintf(a.stderr, "%s of %d pieces of evidence cannot be verified and counts only where something was broken: %s\n", plural(len(doubted), "piece"), len(kept), printable(doubted[0].Error()))
	}
	return counts, nil
}
