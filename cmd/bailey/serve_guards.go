package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/pager"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/enforce/apply"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// guards gives what keeps how far guards are in place. Files have none.
func (s *serving) guards(kept *store.Store) []part {
	if s.flags.path != "" {
		return nil
	}
	p := &server.Planner{Store: kept, Loop: s.loop, News: s.news, Controls: controls.All(), Show: s.show, Log: s.log, Now: s.app.now,
		Applied: func(uid string) ([]apply.Record, error) {
			state, err := clusterState(uid)
			if err != nil {
				return nil, err
			}
			return apply.Records(filepath.Join(state, "enforce"))
		}}
	return []part{p.Run}
}

// showPage is how many objects are read at once, and showAhead how many such pages wait for the one
// before: each object is as large as it is in JSON many times over.
const (
	showPage  = 100
	showAhead = 1
)

// show shows each object of some kinds, page by page, and names those that may not be listed. A
// kind that is not served has none.
func (s *serving) show(ctx context.Context, kinds []bailey.Kind, show func(apiVersion, kind string, object any) error) (unseen []string, err error) {
	config, err := kube.RESTConfig(s.flags.target.kubeconfig, s.flags.target.context)
	if err != nil {
		return nil, err
	}
	config.UserAgent = "bailey/" + version
	served, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := discovery.ServerPreferredResources(served)
	if err != nil && len(lists) == 0 {
		return nil, err
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if !slices.Contains(kinds, bailey.KindOf(list.GroupVersion, r.Kind)) || !slices.Contains(r.Verbs, "list") {
				continue
			}
			err = showAll(ctx, client.Resource(version.WithResource(r.Name)), version.WithKind(r.Kind), show)
			switch {
			case apierrors.IsForbidden(err):
				unseen = append(unseen, r.Name)
			case err != nil && !apierrors.IsNotFound(err):
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
		}
	}
	return unseen, nil
}

func showAll(ctx context.Context, resource dynamic.ResourceInterface, kind schema.GroupVersionKind, show func(apiVersion, kind string, object any) error) error {
	return (&pager.ListPager{PageSize: showPage, PageBufferSize: showAhead, PageFn: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return resource.List(ctx, o)
	}}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		u, is := o.(*unstructured.Unstructured)
		if !is {
			return nil
		}
		var object any = u.Object
		if typed, err := scheme.Scheme.New(kind); err == nil {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err != nil {
				return err
			}
			object = typed
		}
		return show(kind.GroupVersion().String(), kind.Kind, object)
	})
}
