package detect

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

// Set is detections that were compiled, with what it remembers of the events so
// far. Its methods may be called from several goroutines.
type Set struct {
	// every holds those that are asked about each event, byResource the others.
	every      []*compiled
	byResource map[resource][]*compiled

	memory *memory
}

// resource is a plural name with its subresource, in a group.
type resource struct{ group, path string }

type compiled struct {
	*Detection
	matches       cel.Program
	key, distinct cel.Program
}

// Compile prepares the detections of All.
func Compile() (*Set, error) { return CompileThese(All()) }

// CompileThese prepares some detections. The error names every expression that
// is wrong.
func CompileThese(detections []*Detection) (*Set, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		ext.NativeTypes(reflect.TypeFor[Object](), ext.ParseStructTags(true)),
	}
	for _, v := range Variables {
		options = append(options, cel.Variable(v.Name, v.Type))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("the environment of expressions: %w", err)
	}
	s := &Set{byResource: map[resource][]*compiled{}, memory: newMemory()}
	var wrong []error
	program := func(d *Detection, what, source string, want *cel.Type) cel.Program {
		p, err := compile(env, source, want)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("detection %s: %s: %w", d.Name, what, err))
		}
		return p
	}
	for _, d := range detections {
		c := &compiled{Detection: d, matches: program(d, "expression", d.Expr, cel.BoolType)}
		if d.Burst != nil {
			c.key = program(d, "key", d.Burst.Key, cel.StringType)
			c.distinct = program(d, "distinct", d.Burst.Distinct, cel.StringType)
		}
		if len(d.On) == 0 {
			s.every = append(s.every, c)
		}
		for _, on := range d.On {
			for _, path := range on.Resources {
				r := resource{on.Group, path}
				s.byResource[r] = append(s.byResource[r], c)
			}
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return s, nil
}

// Fresh gives a Set of the same detections that remembers nothing.
func (s *Set) Fresh() *Set {
	return &Set{every: s.every, byResource: s.byResource, memory: newMemory()}
}

func compile(env *cel.Env, source string, want *cel.Type) (cel.Program, error) {
	ast, issues := env.Compile(source)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if !ast.OutputType().IsExactType(want) {
		return nil, fmt.Errorf("it gives %s, want %s", ast.OutputType(), want)
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize))
}

// Match gives the alerts that one event raises. Events are best handed over in
// the order of their time; within the window of a burst the order is free.
func (s *Set) Match(e *Event) []Alert {
	if !e.answered() {
		return nil
	}
	in := &input{event: e, memory: s.memory}
	if isNode(e.User.Username) {
		s.memory.noteNode(e)
	}
	var alerts []Alert
	namespaces := e.Object.Resource == "namespaces" && e.Object.Subresource == ""
	if namespaces {
		in.enforced = s.memory.enforced(e.Object.Name)
	}
	for _, c := range s.every {
		alerts = s.judge(c, in, alerts)
	}
	if e.Object.Resource != "" {
		for _, c := range s.byResource[resource{e.Object.APIGroup, e.Object.Path()}] {
			if c.asks(e) {
				alerts = s.judge(c, in, alerts)
			}
		}
	}
	if namespaces {
		s.memory.noteNamespace(in)
	}
	return alerts
}

// asks tells whether the detection looks at the event's verb on its resource.
func (d *Detection) asks(e *Event) bool {
	return slices.ContainsFunc(d.On, func(on Requests) bool {
		return on.Group == e.Object.APIGroup && slices.Contains(on.Resources, e.Object.Path()) &&
			(len(on.Verbs) == 0 || slices.Contains(on.Verbs, e.Verb))
	})
}

// Blind gives the detections that are about this event's request, and of which
// the event records too little to tell, or too much to be read. Its silence about them means nothing.
func (s *Set) Blind(e *Event) []*Detection {
	if !e.answered() {
		return nil
	}
	var blind []*Detection
	for _, c := range s.byResource[resource{e.Object.APIGroup, e.Object.Path()}] {
		if !e.level().Covers(c.Level) && c.asks(e) {
			blind = append(blind, c.Detection)
		}
	}
	return blind
}

func (s *Set) judge(c *compiled, in *input, alerts []Alert) []Alert {
	if !isTrue(c.matches, in) {
		return alerts
	}
	audits := []string{in.event.AuditID}
	if c.Burst != nil {
		key := evalString(c.key, in)
		if key == "" {
			return alerts
		}
		audits = s.memory.count(c.Detection, key, evalString(c.distinct, in), in.event)
		if audits == nil {
			return alerts
		}
	}
	if s.memory.told(c.Detection, in.event) {
		return alerts
	}
	return append(alerts, newAlert(c.Detection, in, audits))
}

// isTrue evaluates an expression. One that fails on an event (which the tests
// provoke in vain) does not match it.
func isTrue(p cel.Program, in *input) bool {
	value, _, err := p.Eval(in)
	return err == nil && value.Value() == true
}

func evalString(p cel.Program, in *input) string {
	value, _, err := p.Eval(in)
	if err != nil {
		return ""
	}
	text, _ := value.Value().(string)
	return text
}

func newAlert(d *Detection, in *input, audits []string) Alert {
	e := in.event
	a := Alert{
		Detection: d.Name, Title: d.Title, Technique: d.Technique, Severity: d.Severity,
		Time: e.Time(), AuditIDs: audits,
		User: e.User.Username, Address: e.Address(), UserAgent: e.UserAgent,
		Verb: e.Verb, Resource: e.Object.Path(), Namespace: e.Object.Namespace, Name: e.Object.Name,
		Code: e.Status.Code, Refused: e.Status.Code >= 400,
		DryRun: slices.Contains(in.parameters()["dryRun"], "All"),
	}
	if e.Impersonated != nil {
		a.Impersonated = e.Impersonated.Username
	}
	if a.Resource == "" {
		a.Path, _, _ = strings.Cut(e.RequestURI, "?") // parameters may hold what is confidential
	}
	return a
}
