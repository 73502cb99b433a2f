package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asBailey) != "" {
		main()
	}
	os.Exit(devclustertest.Run(m))
}

// asBailey makes the test binary behave as bailey itself, so that scripts and
// tests run the program as a process of its own.
const asBailey = "BAILEY_TEST_AS_PROGRAM"

// TestScripts runs the command line through its front door.
func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			bin := env.WorkDir + "/.bin"
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			env.Setenv(asBailey, "1")
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("KUBECONFIG", env.WorkDir+"/.no-kubeconfig")
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/.state")
			return os.Symlink(self, bin+"/bailey")
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// awaits LEDGER TEXT... waits until the records of a ledger hold each text.
			"awaits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: awaits LEDGER TEXT...")
				}
				lacks := func(text string) bool { return !strings.Contains(ts.ReadFile("stdout"), text) }
				for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
					if err := ts.Exec("bailey", "ledger", "read", args[0]); err == nil && !slices.ContainsFunc(args[1:], lacks) {
						return
					}
					if time.Now().After(end) {
						ts.Fatalf("%s does not hold %q after 30 s:\n%s", args[0], args[1:], ts.ReadFile("stdout"))
					}
				}
			},
			// exits CODE COMMAND... runs a command and wants this exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE COMMAND...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					var exit *exec.ExitError
					if !errors.As(err, &exit) {
						ts.Fatalf("%v", err)
					}
					got = exit.ExitCode()
				}
				if got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
			},
		},
	})
}
