// Command gencmd writes generated manifests: one file of n objects with -o, a
// folder with a file for each service with -dir, standard output otherwise.
// With -cluster it writes the objects of a whole cluster instead, one JSON
// object to a line.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/baileyhq/bailey/bench/gen"
)

func main() {
	n := flag.Int("n", 1000, "how many objects")
	seed := flag.Uint64("seed", 1, "the same seed gives the same objects")
	out := flag.String("o", "", "write one file")
	dir := flag.String("dir", "", "write a folder, one file for each service")
	cluster := flag.Bool("cluster", false, "write a whole cluster as lines of JSON")
	flag.Parse()
	if err := run(*n, *seed, *out, *dir, *cluster); err != nil {
		fmt.Fprintln(os.Stderr, "gencmd:", err)
		os.Exit(1)
	}
}

func run(n int, seed uint64, out, dir string, cluster bool) error {
	if dir != "" {
		if out != "" || cluster {
			return fmt.Errorf("-dir goes with neither -o nor -cluster")
		}
		return writeDir(dir, n, seed)
	}
	f := os.Stdout
	if out != "" {
		var err error
		if f, err = os.Create(out); err != nil {
			return err
		}
	}
	w := bufio.NewWriterSize(f, 1<<20)
	write := gen.Manifests
	if cluster {
		write = writeCluster
	}
	if err := write(w, n, seed); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func writeCluster(w io.Writer, n int, seed uint64) error {
	enc := json.NewEncoder(w)
	for obj := range gen.Cluster(n, seed) {
		if err := enc.Encode(obj); err != nil {
			return err
		}
	}
	return nil
}

func writeDir(dir string, n int, seed uint64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for g := range gen.Groups(n, seed) {
		if err := os.WriteFile(filepath.Join(dir, g.Name+".yaml"), g.YAML, 0o644); err != nil {
			return err
		}
	}
	return nil
}
