package storage

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var appEncryptionRules = []*bailey.Rule{
	secretInConfigMap, secretInEnvironment, secretInArguments, secretInProbe, environmentFromSecret, secretInFolder,
}

var (
	secretDocs     = ref.Kubernetes("concepts/configuration/secret/", "Secrets")
	secretPractice = ref.Kubernetes("concepts/security/secrets-good-practices/", "Good practices for Kubernetes Secrets")
	hardcoded      = ref.NIST("IA-5(7)")
)

// howJudged is the part of the documentation that the rules about values share.
const howJudged = `

Values are read as classes ("looks like a private key"); no fact holds a value. A value that is a
credential by its own form (a private key, a token of a known form, a URL or text with a password in it) is
found under any name. For other values the name decides by its last words, and the class weighs: long and
random is worse than a word. References, paths, URLs, booleans, public keys and empty values are not found. A
placeholder is found as low: what takes its place will be written in the same place.`

// place is where a value stands: a word or two may be a Secret's name there, or
// plain text a document.
type place int

const (
	inEnvironment place = iota
	inConfigMap
	inArgument
)

// judgeValue says what is wrong with a redacted value under this name, and how
// much it weighs; SeverityNone if nothing.
func judgeValue(name, value string, where place) (bailey.Severity, string) {
	if value == "" {
		return bailey.SeverityNone, ""
	}
	class, ok := bailey.ClassOf(value)
	if !ok {
		return bailey.SeverityNone, "" // a flag's name, or a value that was not classified
	}
	if class.IsCredential() {
		return judgeCredential(name, class)
	}
	switch class {
	case bailey.ClassOpaque, bailey.ClassHash, bailey.ClassWord, bailey.ClassText, bailey.ClassNumber, bailey.ClassPlaceholder:
	default:
		return bailey.SeverityNone, ""
	}
	m := meaningOf(name)
	if m == meansNothing {
		return bailey.SeverityNone, ""
	}
	random := class == bailey.ClassOpaque || class == bailey.ClassHash
	severity := bailey.SeverityNone
	switch m {
	case meansPassword:
		severity = bailey.SeverityHigh
		if class == bailey.ClassNumber {
			severity = bailey.SeverityMedium
		}
	case meansSecret, meansKey:
		switch {
		case random:
			severity = bailey.SeverityHigh
		case class == bailey.ClassNumber:
		case m == meansSecret:
			severity = bailey.SeverityMedium
		default:
			severity = bailey.SeverityLow
		}
	case meansSecretOrItsName:
		switch {
		case random:
			severity = bailey.SeverityHigh
		case class == bailey.ClassWord && where != inArgument:
			severity = bailey.SeverityLow
		}
	case meansMention:
		switch {
		case random:
			severity = bailey.SeverityMedium
		case class == bailey.ClassWord && where == inEnvironment:
			severity = bailey.SeverityLow
		}
	case meansSomeKey:
		if random {
			severity = bailey.SeverityLow
		}
	}
	if class == bailey.ClassPlaceholder {
		if m == meansPassword || m == meansSecret || m == meansKey {
			return bailey.SeverityLow, "holds a placeholder for a secret"
		}
		return bailey.SeverityNone, ""
	}
	if severity == bailey.SeverityNone {
		return severity, ""
	}
	return severity, "is named like " + m.String() + " and holds " + looks[class]
}

// looks says in words what the classes are that a name decides about.
var looks = map[bailey.Class]string{
	bailey.ClassOpaque: "a random-looking text",
	bailey.ClassHash:   "a hash or a hexadecimal key",
	bailey.ClassWord:   "a literal value",
	bailey.ClassText:   "a literal value",
	bailey.ClassNumber: "a number",
}

// String is the meaning as the end of a sentence.
func (m meaning) String() string {
	switch m {
	case meansPassword:
		return "a password"
	case meansKey:
		return "a secret key"
	case meansSomeKey:
		return "a key"
	}
	return "a secret"
}

// judgeCredential is judgeValue for what is a credential by its own form.
func judgeCredential(name string, class bailey.Class) (bailey.Severity, string) {
	switch class {
	case bailey.ClassPrivateKey:
		return bailey.SeverityHigh, "holds a private key"
	case bailey.ClassURLCredential:
		return bailey.SeverityHigh, "holds a URL with a password"
	case bailey.ClassPassword:
		return bailey.SeverityHigh, "holds a text with a password in it"
	}
	words := wordsOf(name)
	if slices.ContainsFunc(words, func(w string) bool { return publicWord[w] }) {
		return bailey.SeverityNone, "" // a token that is made for everybody's browser
	}
	if n := len(words); n > 0 && words[n-1] == "id" {
		return bailey.SeverityLow, "holds the identifier of an access key"
	}
	return bailey.SeverityHigh, "holds a token"
}

var secretInConfigMap = &bailey.Rule{
	Name:  "secret-in-configmap",
	Title: "ConfigMap holds a secret",
	Doc: `Reads the keys of ConfigMaps and what their values look like. A ConfigMap is neither encrypted at rest by
default nor guarded like a Secret: many roles may read it, and so may whoever sees a backup.` + howJudged,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{secretPractice, hardcoded, ref.ATTACK("T1552.007")},
	On:       []bailey.Kind{bailey.KindConfigMap},
	Check:    checkSecretInConfigMap,
	Bad: []string{`apiVersion: v1
kind: ConfigMap
metadata: {name: bad}
data: {DB_PASSWORD: Fake-hunter2}
`, `apiVersion: v1
kind: ConfigMap
metadata: {name: bad}
data:
  server.pem: |
    -----BEGIN PRIVATE KEY-----
    Tk9UIEEgUkVBTCBLRVkuIEl0IHN0YW5kcyBmb3Igb25lIGluIHRlc3RzLg==
    -----END PRIVATE KEY-----
`},
}

func checkSecretInConfigMap(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	c, ok := bailey.As[*corev1.ConfigMap](f)
	if !ok || len(c.Data)+len(c.BinaryData) == 0 {
		return nil
	}
	// The discovery file of kubeadm carries signatures in the form of tokens.
	if f.Namespace == "kube-public" && f.Name == "cluster-info" {
		return nil
	}
	var found []bailey.Finding
	add := func(key, value, field string) {
		if severity, what := judgeValue(key, value, inConfigMap); severity != bailey.SeverityNone {
			found = append(found, bailey.Finding{Field: field + "[" + strconv.Quote(key) + "]", Severity: severity, Message: "key " + key + " " + what})
		}
	}
	for key, value := range c.Data {
		add(key, value, "data")
	}
	for key, value := range c.BinaryData {
		add(key, string(value), "binaryData")
	}
	slices.SortFunc(found, func(a, b bailey.Finding) int { return strings.Compare(a.Field, b.Field) })
	return found
}

var secretInEnvironment = &bailey.Rule{
	Name:  "secret-in-environment",
	Title: "Environment variable holds a secret",
	Doc: `Reads the names of environment variables that are written with a value, and what the values look like.
Whoever may read the workload reads the secret, in the cluster and in the repository that it comes from.
References to Secrets and ConfigMaps are not found here.` + howJudged,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{secretDocs, secretPractice, hardcoded, ref.ATTACK("T1552.007")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for c := range w.Containers() {
			for i := range c.Env {
				e := &c.Env[i]
				severity, what := judgeValue(e.Name, e.Value, inEnvironment)
				if severity == bailey.SeverityNone {
					continue
				}
				found = append(found, bailey.Finding{
					Field:    c.Field(".env[" + strconv.Itoa(i) + "].value"),
					Named:    c.Named(".env[" + e.Name + "].value"),
					Severity: severity,
					Message:  "container " + c.Name + ": variable " + e.Name + " " + what,
				})
			}
		}
		return found
	},
	Fix: fixSecretInEnvironment,
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app, env: [{name: DB_PASSWORD, value: Fake-hunter2}]}]
`, `apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  initContainers: [{name: app, image: app, env: [{name: DATABASE, value: "postgres://app:Fake-hunter2@db/app"}]}]
  containers: [{name: app, image: app}]
`},
}

func fixSecretInEnvironment(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	w, ok := workload.Of(f)
	if !ok || w.Immutable() {
		return nil
	}
	for c := range w.Containers() {
		for i := range c.Env {
			if c.Field(".env["+strconv.Itoa(i)+"].value") != finding.Field {
				continue
			}
			secret, name := f.Name+"-"+c.Name, c.Env[i].Name
			return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
				Patch: []bailey.PatchOp{{Op: "replace", Path: c.Pointer("/env/" + strconv.Itoa(i)), Value: map[string]any{
					"name":      name,
					"valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": secret, "key": name}},
				}}},
				Note: "make the Secret " + secret + " with key " + name + " first, and give it a new value: the old one has been readable"}}
		}
	}
	return nil
}

var secretInArguments = &bailey.Rule{
	Name:  "secret-in-arguments",
	Title: "Argument holds a secret",
	Doc: `Reads the command and arguments of containers: flags with their values, in one argument or two, and texts that
hold a credential. Beside whoever may read the workload, everything that sees the node's process list
reads arguments.` + howJudged,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{secretPractice, hardcoded, ref.ATTACK("T1552.007")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for c := range w.Containers() {
			found = judgeArguments(found, c, ".command", "", c.Command)
			found = judgeArguments(found, c, ".args", "", c.Args)
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app, args: [--db-password=Fake-hunter2]}]
`, `apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: redis, command: [redis-server, --requirepass, Fake-hunter2]}]
`},
}

// judgeArguments adds what is found in a list of arguments. The name of a flag
// that stands alone is the name of the argument behind it.
func judgeArguments(found []bailey.Finding, c workload.Container, field, of string, args []string) []bailey.Finding {
	name := ""
	for i, arg := range args {
		value := arg
		if len(arg) > 1 && arg[0] == '-' {
			var assigned bool
			name, value, assigned = strings.Cut(arg, "=")
			if !assigned {
				// "--password", or "-p" with its value behind it at once.
				if at := strings.Index(arg, "‹"); at > 0 {
					name, value = arg[:at], arg[at:]
				} else {
					continue
				}
			}
		}
		if severity, what := judgeValue(strings.TrimLeft(name, "-"), value, inArgument); severity != bailey.SeverityNone {
			which := strconv.Itoa(i)
			said := "argument " + strconv.Itoa(i+1)
			if name != "" {
				which, said = name, "flag "+name
			}
			found = append(found, bailey.Finding{
				Field:    c.Field(field + "[" + strconv.Itoa(i) + "]"),
				Named:    c.Named(field + "[" + which + "]"),
				Severity: severity,
				Message:  "container " + c.Name + ": " + of + said + " " + what,
			})
		}
		name = ""
	}
	return found
}

var environmentFromSecret = &bailey.Rule{
	Name:  "environment-from-secret",
	Title: "Secrets are given as environment variables",
	Doc: `Reads environment variables that come from Secrets, one by one or whole. Applications print their environment
when they crash, and pass it to every process that they start; a file that is mounted goes nowhere by
itself, and changes with the Secret. One finding for a workload, to be weighed when the application can
read files.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{ref.CIS("5.4.1", "Secrets are mounted as files rather than set as environment variables"),
		ref.Kubernetes("concepts/configuration/secret/#using-secrets-as-files-from-a-pod", "Using Secrets as files from a Pod")},
	On:    bailey.PodBearing,
	Check: checkEnvironmentFromSecret,
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app, env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]
`, `apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app, envFrom: [{secretRef: {name: db}}]}]
`},
}

func checkEnvironmentFromSecret(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok {
		return nil
	}
	var first bailey.Finding
	variables, whole := 0, 0
	for c := range w.Containers() {
		for i := range c.Env {
			if from := c.Env[i].ValueFrom; from == nil || from.SecretKeyRef == nil {
				continue
			}
			if variables++; first.Field == "" {
				first = bailey.Finding{Field: c.Field(".env[" + strconv.Itoa(i) + "].valueFrom"), Named: w.Path}
			}
		}
		for i := range c.EnvFrom {
			if c.EnvFrom[i].SecretRef == nil {
				continue
			}
			if whole++; first.Field == "" {
				first = bailey.Finding{Field: c.Field(".envFrom[" + strconv.Itoa(i) + "].secretRef"), Named: w.Path}
			}
		}
	}
	switch {
	case variables > 0 && whole > 0:
		first.Message = counted(variables, "environment variable") + " and " + counted(whole, "whole Secret") + " given as environment"
	case variables > 0:
		first.Message = counted(variables, "environment variable") + " from Secrets"
	case whole > 0:
		first.Message = counted(whole, "whole Secret") + " given as environment"
	default:
		return nil
	}
	return []bailey.Finding{first}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
