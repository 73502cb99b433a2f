// Command bench measures Bailey on generated work of growing size and prints
// ratios and growth curves: how far a scan is from merely parsing its input,
// and whether time and memory grow no faster than the objects.
//
//	go run ./bench -bailey bin/bailey [yaml|small|judge|rules|change|audit|ledger|gate|policies|evidence|sqlite|postgres|pages|pages-postgres|serve|live ...]
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

// parts are the measurements, in the order in which they run.
var parts = []struct {
	name string
	run  func(bailey string) error
}{
	{"yaml", benchYAML},
	{"small", benchSmall},
	{"judge", benchJudge},
	{"rules", benchRules},
	{"change", benchChange},
	{"audit", benchAudit},
	{"ledger", benchLedger},
	{"gate", benchGate},
	{"policies", benchPolicies},
	{"evidence", benchEvidence},
	{"sqlite", benchSQLite},
	{"postgres", benchPostgres},
	{"pages", benchPages},
	{"pages-postgres", benchPagesPostgres},
	{"serve", benchServe},
	{"live", benchLive},
}

// printed are made here for the program to hold, and run only when named.
var printed = map[string]func(bailey string) error{"statistics": printStatistics}

func main() {
	if child, arg := os.Getenv(childVariable), os.Getenv(childArgument); child != "" {
		if err := children[child](arg); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	bailey := flag.String("bailey", "bin/bailey", "the program to measure")
	flag.Parse()
	if run := printed[flag.Arg(0)]; run != nil {
		if err := run(*bailey); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	fmt.Printf("%s/%s, %d processors, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, part := range parts {
		if flag.NArg() > 0 && !contains(flag.Args(), part.name) {
			continue
		}
		fmt.Printf("\n%s\n", part.name)
		if err := part.run(*bailey); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
