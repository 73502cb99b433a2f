// Command release makes an image of Bailey's program, with its bill of materials and provenance,
// for `make image` to sign.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/baileyhq/bailey/internal/release"
)

func main() {
	var (
		program = flag.String("program", "bin/bailey", "the program, static and for Linux")
		version = flag.String("version", "", "the version that it was linked with (default: its module's)")
		name    = flag.String("name", "localhost/bailey", "the image's name, without tag")
		out     = flag.String("out", "dist", "the folder to write to")
		bundle  = flag.String("ca-bundle", "", "a PEM file of CAs to put into the image (default: none)")
		builder = flag.String("builder", release.Builder, "who builds: a URI, for the provenance")
	)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "release: unexpected argument %q\nhint: release -h lists the flags\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(*program, *version, *name, *out, *bundle, *builder); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(program, version, name, out, bundle, builder string) error {
	p, err := release.Read(program, version)
	if err != nil {
		return err
	}
	image, err := release.Image(p, release.ImageOptions{CABundle: bundle})
	if err != nil {
		return err
	}
	digest, err := release.Write(out, name, builder, p, image)
	if err != nil {
		return err
	}
	if p.Modified {
		fmt.Fprintln(os.Stderr, "release: the working tree held more than its commit: nobody else can build this image again")
	}
	fmt.Printf("%s@%s\n", name, digest)
	return nil
}
