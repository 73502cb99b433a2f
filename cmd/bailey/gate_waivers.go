package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// gateWaivers are those of a file that the gate's operator names; none if there is no file.
type gateWaivers struct {
	path string
	now  atomic.Pointer[[]bailey.Waiver]
}

func newGateWaivers(path string) (*gateWaivers, error) {
	w := &gateWaivers{path: path}
	if path == "" {
		return w, nil
	}
	all, _, err := readWaivers(path)
	if err != nil {
		return nil, fmt.Errorf("--waivers: %w", err)
	}
	w.now.Store(&all)
	return w, nil
}

// readWaivers gives a configuration's waivers, and a configuration of nothing else.
func readWaivers(path string) (all []bailey.Waiver, only []byte, err error) {
	c, err := loadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	if all, err = c.waivers(); err != nil {
		return nil, nil, err
	}
	only, err = yaml.Marshal(&config{Waivers: c.Waivers})
	return all, only, err
}

func (w *gateWaivers) get() []bailey.Waiver {
	if all := w.now.Load(); all != nil {
		return *all
	}
	return nil
}

// follow reads the file again and again until ctx ends. One that cannot be read is told, and
// the waivers before stay, until they expire.
func (w *gateWaivers) follow(ctx context.Context, log *slog.Logger) {
	if w.path == "" {
		return
	}
	reread(ctx, log, "the waivers cannot be read; those before stay", func() error {
		all, _, err := readWaivers(w.path)
		if err == nil {
			w.now.Store(&all)
		}
		return err
	})
}
