// Command docgen writes the pages of docs/controls from the catalogue,
// docs/detections.md from the detections, docs/coverage.md from the sources, and the chart's rights from what
// the collector reads. With -check it writes nothing and
// fails if a page is not up to date.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/internal/docgen"
	"github.com/baileyhq/bailey/internal/sources"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a page is not up to date")
	root := flag.String("root", ".", "the root of the repository")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "docgen: unexpected argument %q\nhint: docgen -h lists the flags\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	pages := docgen.Pages(controls.All())
	maps.Copy(pages, docgen.Detections(detect.All()))
	maps.Copy(pages, docgen.Coverage(sources.All()))
	rules, err := docgen.ReaderRules(kube.Permissions())
	if err != nil {
		return err
	}
	maps.Copy(pages, rules)
	if !check {
		return docgen.Write(root, pages)
	}
	stale, err := docgen.Stale(root, pages)
	if err == nil && len(stale) > 0 {
		err = fmt.Errorf("not up to date with the catalogue: %s\nhint: run make docs and commit the result", strings.Join(stale, ", "))
	}
	return err
}
