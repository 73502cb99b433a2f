// Package node reads a machine that runs part of the platform, on the machine
// itself: processes and their settings, the files that these name, certificates,
// sockets and the system below. It finds where things are by looking at what
// runs, opens key files to read their type only, and runs nothing.
package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Bounds on what is read of one machine.
const (
	maxProcesses = 100_000
	maxFiles     = 5_000
	maxDocument  = 1 << 20
	maxListeners = 10_000
)

// Options say where the machine is.
type Options struct {
	// Root is where the machine's root folder is mounted; empty means "/".
	Root string
	// Proc is where its process file system is mounted; empty means "/proc".
	Proc string
	// Node is the machine's name in the cluster; empty looks for it.
	Node string
	Now  time.Time
}

// ErrNotLinux tells of a machine that is no node.
var ErrNotLinux = errors.New("bailey scan host reads Linux machines, and this is " + runtime.GOOS)

type collector struct {
	root, proc string
	node       string
	builder    *bailey.Builder
	host       *bailey.Host
	files      map[string]*bailey.HostFile
	certs      map[string]*bailey.HostCertificate
	components map[bailey.Kind][]*bailey.Component // several where clusters share a machine
	inside     map[bailey.Kind]string              // the program that runs a component within itself
	unread     map[bailey.Kind]string              // where the settings of one are that could not be read
	described  map[bailey.Kind]bool                // by a static pod's manifest of this machine
	static     []*bailey.Fact                      // components that such manifests describe
	skipped    []bailey.Skip
}

// Collect reads the machine. What is not there is not seen, and never an error;
// an error is a machine of which nothing can be read.
func Collect(ctx context.Context, o Options) (*bailey.Snapshot, error) {
	if runtime.GOOS != "linux" {
		return nil, ErrNotLinux
	}
	c := &collector{root: filepath.Clean("/" + o.Root), proc: o.Proc, node: o.Node,
		files: map[string]*bailey.HostFile{}, certs: map[string]*bailey.HostCertificate{},
		components: map[bailey.Kind][]*bailey.Component{}, inside: map[bailey.Kind]string{}, unread: map[bailey.Kind]string{}, described: map[bailey.Kind]bool{}}
	if c.proc == "" {
		c.proc = "/proc"
	}
	for _, folder := range []string{c.root, c.proc} {
		if _, err := os.Stat(folder); err != nil {
			return nil, fmt.Errorf("the machine cannot be read: %w", err)
		}
	}
	c.builder = bailey.NewBuilder(bailey.Meta{At: o.Now, Medium: "host", Version: bailey.LatestVersion, AssumedVersion: true})
	processes, err := c.processes(ctx)
	if err != nil {
		return nil, err
	}
	if c.node == "" {
		c.node = c.name(processes)
	}
	// What runs in pods comes last: a pod may give itself any name, and is believed to be a
	// part of the control plane only if a static pod's manifest of this machine says so.
	for _, inPods := range []bool{false, true} {
		for i := range processes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if p := &processes[i]; p.inPod == inPods && (!inPods || c.described[p.kind]) {
				c.platform(p)
			}
		}
	}
	c.fromManifests()
	c.host = &bailey.Host{Node: c.node}
	c.system()
	c.listeners(ctx)
	c.timeSources()
	c.finish(len(processes))
	return c.builder.Snapshot(), ctx.Err()
}

// finish turns what was found into facts, and says what was not seen.
func (c *collector) finish(processes int) {
	add := func(kind bailey.Kind, name string, content any) {
		c.builder.Add(&bailey.Fact{Ref: bailey.Ref{Kind: kind, Name: name}, APIVersion: "bailey.dev/v1",
			Owner: bailey.Ref{Kind: bailey.KindNode, Name: c.node}, Object: content})
	}
	objects := 1
	add(bailey.KindHost, c.node, c.host)
	for _, path := range sortedKeys(c.files) {
		f := c.files[path]
		slices.Sort(f.Uses)
		f.Uses = slices.Compact(f.Uses)
		add(bailey.KindHostFile, c.node+":"+f.Path, f)
		objects++
	}
	for _, key := range sortedKeys(c.certs) {
		cert := c.certs[key]
		slices.Sort(cert.Uses)
		cert.Uses = slices.Compact(cert.Uses)
		add(bailey.KindHostCertificate, c.node+":"+key, cert)
		objects++
	}
	for _, k := range []bailey.Kind{bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate} {
		c.builder.Saw(k, "")
	}
	kinds := append([]bailey.Kind{bailey.KindKubelet, bailey.KindKubeProxy}, bailey.ControlPlane...)
	for _, k := range kinds {
		for i, component := range c.components[k] {
			name := c.node
			if i > 0 {
				name = fmt.Sprintf("%s#%d", c.node, i+1)
			}
			add(k, name, component)
			objects++
			c.withoutDocuments(k, component)
		}
		switch {
		case len(c.components[k]) > 0:
			c.builder.Saw(k, "")
		case c.unread[k] != "":
			c.builder.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonUnreadable, Detail: k.Program() + " of " + c.node + " takes its settings from " + c.unread[k] + ", which could not be read", Hint: "run as root"})
		case c.inside[k] != "":
			c.builder.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonUnreadable, Detail: c.inside[k] + " runs " + k.Program() + " within itself, and no process shows its settings"})
		default:
			c.builder.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonNotCollected, Detail: k.Program() + " does not run on " + c.node})
		}
	}
	target := bailey.Target{Name: c.node, Medium: "host", Objects: objects, Skipped: c.skipped}
	meta := c.builder.Meta()
	meta.Targets = []bailey.Target{target}
	for _, k := range kinds { // the platform's own version, where it was seen
		if len(c.components[k]) == 0 || k == bailey.KindEtcd {
			continue
		}
		if v, err := bailey.ParseVersion(c.components[k][0].Version); err == nil {
			meta.Version, meta.AssumedVersion = v, false
			break
		}
	}
	if len(c.components)+processes == 0 {
		c.host.Unseen = append(c.host.Unseen, "processes")
	}
	for _, part := range c.host.Unseen {
		c.builder.Miss(bailey.Missing{Kind: bailey.KindHost, Name: c.node + ": " + part, Reason: bailey.ReasonUnreadable, Detail: part + " of " + c.node + " could not be read"})
	}
}

// judged are the flags whose documents rules read. Other flags may name what is no document.
var judged = []string{"admission-control-config-file", "audit-policy-file", "authentication-config", "authorization-config", "config", "encryption-provider-config"}

// withoutDocuments says which of a component's documents were not read, whatever the cause: a
// relative path, a file that has gone since, one that is no document, or a manifest without its
// process. The file itself may well have been seen.
func (c *collector) withoutDocuments(k bailey.Kind, component *bailey.Component) {
	for _, flag := range judged {
		value := component.Flags[flag]
		if value == "" || component.Files[flag] != nil || flag == "config" && component.Config != nil {
			continue
		}
		c.builder.Miss(bailey.Missing{Kind: bailey.KindHostFile, Name: c.node + ":" + value, Reason: bailey.ReasonUnreadable,
			Detail: "what " + k.Program() + " --" + flag + " names (" + value + ") was not read as a document",
			Hint:   "name it by its full path, let it say its kind and apiVersion, and run as root"})
	}
}

// name is the machine's name in the cluster: what the kubelet was told, else what
// the system is called.
func (c *collector) name(processes []process) string {
	for i := range processes {
		if p := &processes[i]; p.kind == bailey.KindKubelet && !p.inPod && p.flags["hostname-override"] != "" {
			return p.flags["hostname-override"]
		}
	}
	if text, err := os.ReadFile(filepath.Join(c.proc, "sys/kernel/hostname")); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			return strings.ToLower(name)
		}
	}
	return "host"
}

// unseen notes a part of the machine that could not be read.
func (c *collector) unseen(what string) {
	if !slices.Contains(c.host.Unseen, what) {
		c.host.Unseen = append(c.host.Unseen, what)
	}
}

// skip notes a file that is there and could not be read.
func (c *collector) skip(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) || len(c.skipped) >= 100 {
		return
	}
	c.skipped = append(c.skipped, bailey.Skip{What: path, Why: withoutPath(err)})
	for _, k := range []bailey.Kind{bailey.KindHostFile, bailey.KindHostCertificate} {
		c.builder.Miss(bailey.Missing{Kind: k, Name: c.node + ":" + path, Reason: bailey.ReasonUnreadable, Detail: path + ": " + withoutPath(err), Hint: "run as root"})
	}
}

// withoutPath is the error without the path that it repeats.
func withoutPath(err error) string {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Op + ": " + inner.Err.Error()
	}
	return err.Error()
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
