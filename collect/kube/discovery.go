package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// discovered is what the API server says that it serves.
type discovered struct {
	// groups holds the resources of each group, those of the version that the
	// server prefers first. Subresources are left out.
	groups map[string][]served
	// stale says of a group why its resources, or some, are not known.
	stale map[string]string
}

type served struct {
	version, kind, plural string
	namespaced            bool
	verbs                 []string
}

// find gives a kind of a group in every version that serves it.
func (d *discovered) find(group, kind string) []served {
	var list []served
	for _, s := range d.groups[group] {
		if s.kind == kind {
			list = append(list, s)
		}
	}
	return list
}

// Aggregated discovery says everything in two answers. A server that does not
// know it (before 1.27) gives the short lists of groups instead.
const (
	acceptAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
		"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList," + acceptJSON
	acceptJSON     = "application/json"
	acceptProtobuf = "application/vnd.kubernetes.protobuf,application/json"
)

// discover asks what is served. The accept header is acceptAggregated, but for
// tests of the older way.
func (c *client) discover(ctx context.Context, accept string) (*discovered, error) {
	d := &discovered{groups: map[string][]served{}, stale: map[string]string{}}
	for _, path := range [...]string{"/api", "/apis"} {
		body, err := c.get(ctx, path, accept)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("the answer to %s: %w", path, err)
		}
		switch answer.Kind {
		case "APIGroupDiscoveryList":
			err = d.aggregated(body)
		case "APIVersions":
			err = d.legacy(ctx, c, body)
		case "APIGroupList":
			err = d.groupList(ctx, c, body)
		default:
			err = fmt.Errorf("the kind %q is not that of a list of APIs", answer.Kind)
		}
		if err != nil {
			return nil, fmt.Errorf("the answer to %s: %w", path, err)
		}
	}
	return d, nil
}

// aggregated reads an apidiscovery.k8s.io APIGroupDiscoveryList.
func (d *discovered) aggregated(body []byte) error {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Version   string
				Freshness string
				Resources []struct {
					Resource     string
					Scope        string
					Verbs        []string
					ResponseKind struct{ Kind string }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for _, g := range list.Items {
		name := g.Metadata.Name
		for _, v := range g.Versions {
			if v.Freshness == "Stale" {
				d.stale[name] = "the API server cannot reach the server of " + name + "/" + v.Version
			}
			for _, r := range v.Resources {
				d.groups[name] = append(d.groups[name], served{v.Version, r.ResponseKind.Kind, r.Resource, r.Scope == "Namespaced", r.Verbs})
			}
		}
	}
	return nil
}

// legacy reads the core group, whose list is a list of versions.
func (d *discovered) legacy(ctx context.Context, c *client, body []byte) error {
	var list struct{ Versions []string }
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for _, v := range list.Versions {
		d.version(ctx, c, "", v, "/api/"+v)
	}
	return nil
}

// groupList reads the groups that Bailey has kinds of, one version after another.
func (d *discovered) groupList(ctx context.Context, c *client, body []byte) error {
	var list struct {
		Groups []struct {
			Name     string
			Versions []struct{ Version string }
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, p := range Permissions() {
		wanted[p.APIGroup] = true
	}
	for _, g := range list.Groups {
		if !wanted[g.Name] {
			continue
		}
		for _, v := range g.Versions {
			d.version(ctx, c, g.Name, v.Version, "/apis/"+g.Name+"/"+v.Version)
		}
	}
	return nil
}

// version reads the resources of one group and version; one that cannot be had
// makes the group stale.
func (d *discovered) version(ctx context.Context, c *client, group, version, path string) {
	var list struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
			Verbs      []string
		}
	}
	body, err := c.get(ctx, path, acceptJSON)
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		d.stale[group] = "the resources of " + strings.TrimPrefix(group+"/"+version, "/") + ": " + short(err.Error())
		return
	}
	for _, r := range list.Resources {
		if !strings.Contains(r.Name, "/") {
			d.groups[group] = append(d.groups[group], served{version, r.Kind, r.Name, r.Namespaced, r.Verbs})
		}
	}
}
