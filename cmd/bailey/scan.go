package main

import (
	"context"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/report"
)

// judgeFlags say how a snapshot is judged and when that fails.
type judgeFlags struct {
	controls      []string
	baseline      string
	failOn        string
	failOnUnknown bool
	outputs       []string
	all           bool
	explain       bool
}

const explainHelp = "say of each finding where its severity comes from"

func (j *judgeFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&j.controls, "control", "c", nil, "only these controls, like compute/pod-security or compute/*")
	f.StringVar(&j.baseline, "baseline", "", "accept the findings of this file (see bailey baseline)")
	f.StringVar(&j.failOn, "fail-on", "", "exit 1 for findings at or over: info, low, medium, high, critical, or none (default: high)")
	f.BoolVar(&j.failOnUnknown, "fail-on-unknown", false, "exit 1 too when a fact that a rule needs was not seen")
	f.StringArrayVarP(&j.outputs, "output", "o", nil, "text, json, sarif, junit, markdown, github, html or oscal; FORMAT=FILE, several times")
	f.BoolVarP(&j.all, "all", "a", false, "show every finding and object, with the commands that fix them")
	f.BoolVar(&j.explain, "explain", false, explainHelp)
}

func (a *app) scanCommand() *cobra.Command {
	var t targetFlags
	var j judgeFlags
	var diff, save string
	var asAdmitted bool
	var x fixFlags
	var from remoteFlags
	c := &cobra.Command{
		Use:   "scan [TARGET...]",
		Short: "Judge a cluster, or a folder of manifests",
		Long:  "Scan reads a cluster or files, runs every rule, and says what is wrong, what to\nfix first, where each control stands, and what was not seen." + targetHelp,
		Example: `  bailey scan
  bailey scan ./deploy -o sarif=bailey.sarif
  helm template . | bailey scan -
  bailey scan --as-admitted
  bailey scan --diff yesterday.json
  bailey scan --server https://bailey.example.com --token-file token
  bailey scan --fix --dry-run ./deploy`,
		RunE: func(c *cobra.Command, targets []string) error {
			if err := x.check(&t, targets, asAdmitted, diff, save); err != nil {
				return err
			}
			named := t.named(targets)
			switch {
			case named != "":
			case asAdmitted:
				named = "--as-admitted"
			case save != "":
				named = "--save"
			}
			if remote, err := from.on(named); err != nil {
				return err
			} else if remote {
				return a.scanRemote(c.Context(), &from, &t, &j, diff)
			}
			if x.on {
				return a.scanFixed(c.Context(), &t, &j, &x, targets, save)
			}
			if asAdmitted {
				return a.scanAdmitted(c.Context(), &t, &j, targets)
			}
			return a.scanTargets(c.Context(), &t, &j, targets, diff, save)
		},
	}
	c.AddCommand(a.scanHostCommand())
	t.register(c)
	t.images.register(c)
	j.register(c)
	x.register(c)
	from.register(c)
	c.Flags().StringVar(&diff, "diff", "", "show only what is new since this JSON result or snapshot")
	c.Flags().BoolVar(&asAdmitted, "as-admitted", false, "evaluate the admission policies that are there instead: what of what is there, and of what rules find, they would refuse")
	c.Flags().StringVar(&save, "save", "", "save the snapshot that was judged to this file")
	return c
}

func (a *app) scanTargets(ctx context.Context, t *targetFlags, j *judgeFlags, targets []string, diff, save string) error {
	read := func() (*bailey.Snapshot, error) { return a.snapshot(ctx, t, targets) }
	return a.scan(ctx, t, j, read, diff, save, scanCommandLine(t, j, targets))
}

// scan judges what read gives.
func (a *app) scan(ctx context.Context, t *targetFlags, j *judgeFlags, read func() (*bailey.Snapshot, error), diff, save, command string) error {
	ask, err := j.resolve(t)
	if err != nil {
		return err
	}
	started := a.now()
	s, err := read()
	if err != nil {
		return err
	}
	if t.host {
		ask.chosen = hostRules(ask.chosen)
	} else if ask.options.Evidence, err = a.evidence(ctx, ask.conf, s); err != nil {
		return err
	}
	r, err := check.Judge(ctx, s, ask.chosen, ask.options)
	if err != nil {
		return err
	}
	r.Took = a.now().Sub(started)
	if save != "" {
		if err := saved.WriteFile(save, s); err != nil {
			return err
		}
	}
	if diff != "" {
		old, err := a.oldReport(ctx, diff, ask.chosen, ask.options)
		if err != nil {
			return err
		}
		r = report.Compare(old, r)
	}
	shown := a.reportOptions(j, ask.failOn, command)
	shown.Kubeconfig = t.kubeconfig
	if err := a.write(ask.outputs, r, shown); err != nil {
		return err
	}
	return verdictOf(r, ask.failOn, ask.unknownFails)
}

// scanCommandLine is the command that scans the same again, as a person types it.
func scanCommandLine(t *targetFlags, j *judgeFlags, targets []string) string {
	words := []string{"bailey", "scan"}
	add := func(flag string, values ...string) {
		for _, value := range values {
			if value != "" {
				words = append(words, flag, quoted(value))
			}
		}
	}
	for _, target := range targets {
		words = append(words, quoted(target))
	}
	add("--config", t.config)
	add("--kubeconfig", t.kubeconfig)
	add("--context", t.context)
	add("-n", t.namespaces...)
	add("--kubernetes-version", t.version)
	add("-f", t.values...)
	add("--set", t.sets...)
	if t.configz {
		words = append(words, "--kubelet-configz")
	}
	add("--trust-policy", t.images.policy)
	add("--try-image", t.images.try...)
	add("--registry-ca", t.images.registries.ca)
	add("--plain-http", t.images.registries.plainHTTP...)
	add("-c", j.controls...)
	add("--baseline", j.baseline)
	return strings.Join(words, " ")
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quoted is the word as a shell takes it.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (a *app) reportOptions(j *judgeFlags, failOn bailey.Severity, command string) report.Options {
	dir, _ := os.Getwd()
	return report.Options{Verbose: j.all, Explain: j.explain, FailOn: failOn, Command: command, Version: version, Dir: dir}
}

// asked is what the flags and the configuration come to.
type asked struct {
	outputs      []output
	conf         *config
	failOn       bailey.Severity
	unknownFails bool
	chosen       []*bailey.Control
	options      check.Options
}

// resolve reads the configuration of the target, and all that it and the flags ask for.
func (j *judgeFlags) resolve(t *targetFlags) (ask asked, err error) {
	if ask.outputs, err = parseOutputs(j.outputs); err != nil {
		return ask, err
	}
	if ask.conf, err = t.load(); err != nil {
		return ask, err
	}
	if ask.failOn, err = j.threshold(ask.conf); err != nil {
		return ask, err
	}
	ask.unknownFails = j.failOnUnknown || ask.conf.FailOnUnknown
	ask.chosen, ask.options, err = j.options(ask.conf)
	return ask, err
}

// threshold is the severity from which findings fail the run.
func (j *judgeFlags) threshold(conf *config) (bailey.Severity, error) {
	name, from := j.failOn, "--fail-on"
	if name == "" {
		name, from = conf.FailOn, conf.path+": failOn"
	}
	if name == "" {
		return bailey.SeverityHigh, nil
	}
	s, err := bailey.ParseSeverity(name)
	if err != nil {
		return 0, usageError("%s: %w", from, err)
	}
	return s, nil
}

// options gathers the controls asked for, the waivers and the baseline.
func (j *judgeFlags) options(conf *config) ([]*bailey.Control, check.Options, error) {
	o := check.Options{Weigher: stakes.Weigher}
	chosen, err := chooseControls(j.controls)
	if err != nil {
		return nil, o, err
	}
	if o.Waivers, err = conf.waivers(); err != nil {
		return nil, o, err
	}
	path := j.baseline
	if path == "" && conf.Baseline != "" {
		path = conf.relative(conf.Baseline)
	}
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, o, usageError("the baseline could not be read: %w\nhint: `bailey baseline` writes one", err)
		}
		defer f.Close()
		if o.Baseline, err = check.ReadBaseline(f); err != nil {
			return nil, o, usageError("%s: %w", path, err)
		}
	}
	return chosen, o, nil
}

// chooseControls gives the controls that the names stand for, or all of them.
func chooseControls(names []string) ([]*bailey.Control, error) {
	all := controls.All()
	if len(names) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		found := false
		area, isArea := strings.CutSuffix(name, "/*")
		for _, c := range all {
			if c.ID == name || isArea && c.Area() == area {
				wanted[c.ID] = true
				found = true
			}
		}
		if !found {
			return nil, usageError("there is no control %q\nhint: `bailey controls` lists them; an area is written like compute/*", name)
		}
	}
	var chosen []*bailey.Control
	for _, c := range all {
		if wanted[c.ID] {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// oldReport reads what --diff compares with: a JSON result, or a snapshot,
// which is judged by today's rules.
func (a *app) oldReport(ctx context.Context, path string, chosen []*bailey.Control, o check.Options) (*bailey.Report, error) {
	if isSnapshot(path) {
		s, err := saved.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return check.Judge(ctx, s, chosen, o)
	}
	return readResult(path)
}

func readResult(path string) (*bailey.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError("%w\nhint: a result is what `bailey scan -o json=FILE` writes", err)
	}
	defer f.Close()
	r, err := report.ReadJSON(f)
	if err != nil {
		return nil, usageError("%s: %w", path, err)
	}
	return r, nil
}

// verdictOf turns a report into the exit code.
func verdictOf(r *bailey.Report, failOn bailey.Severity, unknownFails bool) error {
	// A broken experiment outweighs every rule, whatever the severity of findings.
	if report.Failing(r, failOn) > 0 || failOn != bailey.SeverityNone && report.Broken(r) > 0 {
		return &exitError{code: exitFindings}
	}
	if unknownFails && !r.Coverage.Whole() {
		return &exitError{code: exitFindings}
	}
	return nil
}

func (a *app) reportCommand() *cobra.Command {
	var j judgeFlags
	c := &cobra.Command{
		Use:     "report RESULT",
		Short:   "Show a saved JSON result in any format",
		Example: "  bailey scan -o json=result.json\n  bailey report result.json -o html=result.html\n  bailey report result.json -o oscal=audit/",
		Args:    exactArgs(1, "the JSON result of a scan"),
		RunE: func(c *cobra.Command, args []string) error {
			outputs, err := parseOutputs(j.outputs)
			if err != nil {
				return err
			}
			r, err := readResult(args[0])
			if err != nil {
				return err
			}
			r.Controls = controls.All()
			return a.write(outputs, r, a.reportOptions(&j, bailey.SeverityNone, "bailey report "+args[0]))
		},
	}
	c.Flags().StringArrayVarP(&j.outputs, "output", "o", nil, "text, json, sarif, junit, markdown, github, html or oscal; FORMAT=FILE, several times")
	c.Flags().BoolVarP(&j.all, "all", "a", false, "show every finding and object")
	c.Flags().BoolVar(&j.explain, "explain", false, explainHelp)
	c.AddCommand(&cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of -o json", Args: exactArgs(0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(report.Schema())
			return err
		},
	})
	return c
}

func (a *app) baselineCommand() *cobra.Command {
	var t targetFlags
	var path string
	var from remoteFlags
	c := &cobra.Command{
		Use:   "baseline [TARGET...]",
		Short: "Accept today's findings, so that scans fail on new ones only",
		Long:  "Baseline writes the identities of today's findings to a file. A scan with\n--baseline FILE, or baseline: FILE in bailey.yaml, still shows them and does not\nfail on them." + targetHelp,
		RunE: func(c *cobra.Command, targets []string) error {
			if remote, err := from.on(t.named(targets)); err != nil {
				return err
			} else if remote {
				r, err := from.report(c.Context())
				if err != nil {
					return err
				}
				return a.writeBaseline(path, r, "bailey scan --server "+quoted(from.server))
			}
			conf, err := t.load()
			if err != nil {
				return err
			}
			waivers, err := conf.waivers()
			if err != nil {
				return err
			}
			s, err := a.snapshot(c.Context(), &t, targets)
			if err != nil {
				return err
			}
			r, err := check.Judge(c.Context(), s, controls.All(), check.Options{Waivers: waivers, Weigher: stakes.Weigher})
			if err != nil {
				return err
			}
			return a.writeBaseline(path, r, scanCommandLine(&t, &judgeFlags{}, targets))
		},
	}
	t.register(c)
	from.register(c)
	c.Flags().StringVarP(&path, "output", "o", "bailey-baseline.json", "the file to write")
	return c
}

// exactArgs is cobra.ExactArgs with an error that says what is wanted.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			if n == 0 {
				return usageError("%s takes no argument", c.CommandPath())
			}
			return usageError("%s wants %s\nhint: %s --help", c.CommandPath(), what, c.CommandPath())
		}
		return nil
	}
}
