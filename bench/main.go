// Command bench measures Bailey on generated work of growing size and prints
// ratios and growth curves: how far a scan is from merely parsing its input,
// and whether time and memory grow no faster than the objects. It fails where live or pages are over their budgets.
//
//	go run ./bench -bailey bin/bailey [yaml|small|judge|rules|change|audit|ledger|gate|policies|evidence|sqlite|postgres|pages|pages-postgres|serve|live ...]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
)

// part is a measurement.
type part struct {
	name string
	run  func(bailey string) error
}

// parts are the measurements, in the order in which they run.
var parts = []part{
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
	if err := measureParts(parts, *bailey, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measureParts measures the parts of these names; all, if there are none. What is over its budget fails at
// the end, when all is measured, and anything else that is wrong at once.
func measureParts(parts []part, bailey string, names []string) (err error) {
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		fmt.Printf("\n%s\n", p.name)
		if wrong := p.run(bailey); wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, wrong))
			if !errors.Is(wrong, errOver) {
				return err
			}
		}
	}
	return err
}
