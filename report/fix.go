package report

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// DescribeChange says in one line of YAML paths what a change does to its
// object: "set spec.replicas: 2; remove spec.paused". The object is named
// unless it is the one that the line stands beside.
func DescribeChange(c bailey.Change, beside bailey.Ref) string {
	var parts []string
	for i, op := range c.Patch {
		if isScaffold(c.Patch, i) {
			continue // said by the field that is set in it
		}
		path := pointerPath(op.Path)
		switch op.Op {
		case "remove":
			parts = append(parts, "remove "+path)
		case "test":
			// A precondition changes nothing.
		default:
			value := flow(op.Value)
			if list, found := strings.CutSuffix(path, "[-]"); found {
				parts = append(parts, "append to "+list+": "+value)
			} else {
				parts = append(parts, "set "+path+": "+value)
			}
		}
	}
	text := strings.Join(parts, "; ")
	switch {
	case len(c.Patch) == 0 && c.Content != nil:
		text = "create " + c.Object.String()
	case text == "" && c.Note != "":
		return clean(c.Note)
	case c.Object != beside && c.Object != (bailey.Ref{}):
		text = "in " + c.Object.String() + ": " + text
	}
	if c.Note != "" {
		text += " (" + c.Note + ")"
	}
	return cut(clean(text), 400)
}

// isScaffold reports whether the operation only makes an empty parent for a
// field that a later one sets.
func isScaffold(patch []bailey.PatchOp, i int) bool {
	empty, isMap := patch[i].Value.(map[string]any)
	return patch[i].Op == "add" && isMap && len(empty) == 0 &&
		slices.ContainsFunc(patch[i+1:], func(op bailey.PatchOp) bool { return strings.HasPrefix(op.Path, patch[i].Path+"/") })
}

// describeFix joins the changes of a fix into one line.
func describeFix(fix []bailey.Change, beside bailey.Ref) string {
	var parts []string
	for i, c := range fix {
		if i == 3 && len(fix) > 4 {
			parts = append(parts, "and "+count(len(fix)-i, "more change"))
			break
		}
		parts = append(parts, DescribeChange(c, beside))
	}
	return strings.Join(parts, "; ")
}

// isName reports whether the text looks like a kind, namespace or name that an
// API server takes. For any other there is no command.
func isName(s string) bool { return len(s) > 0 && isAlnum(s[0]) && consistsOf(s, "._:-") }

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// consistsOf reports whether the text is made of ASCII letters, digits and the
// other characters.
func consistsOf(s, others string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return true
}

// KubectlCommand is the command that makes the change in the cluster of the
// kubeconfig and context, or of the current ones where they are empty; it is
// safe to paste into a POSIX shell. It is empty where a name is none that an
// API server takes, where context or kubeconfig hold characters that do not
// show, and where the change says nothing to apply.
func KubectlCommand(c bailey.Change, kubeconfig, context string) string {
	kind, group := c.Object.Kind.Split()
	at := ""
	if kubeconfig != "" {
		at += " --kubeconfig=" + shellQuote(kubeconfig)
	}
	if context != "" {
		at += " --context=" + shellQuote(context)
	}
	if clean(context) != context || clean(kubeconfig) != kubeconfig || !isName(kind) || !isName(c.Object.Name) ||
		group != "" && !isName(group) ||
		c.Object.Namespace != "" && !isName(c.Object.Namespace) {
		return ""
	}
	switch {
	case len(c.Patch) > 0:
		resource := strings.ToLower(kind)
		if group != "" {
			resource += "." + group
		}
		if c.Object.Namespace != "" {
			at += " -n " + c.Object.Namespace
		}
		return "kubectl patch " + resource + "/" + c.Object.Name + at + " --type=json -p " + shellQuote(string(appendPatch(nil, c.Patch)))
	case c.Content != nil:
		return "printf '%s' " + shellQuote(string(appendValue(nil, c.Content))) + " | kubectl create" + at + " -f -"
	}
	return ""
}

// KubectlShow is the command that shows an object of a cluster, or the current one's; empty where no
// API server has objects of its kind, and where a name is none that one takes.
func KubectlShow(ref bailey.Ref) string {
	kind, group := ref.Kind.Split()
	if ref.Kind.New() != nil || !isName(kind) || !isName(ref.Name) || group != "" && !isName(group) || ref.Namespace != "" && !isName(ref.Namespace) {
		return ""
	}
	resource := strings.ToLower(kind)
	if group != "" {
		resource += "." + group
	}
	command := "kubectl get " + resource + "/" + ref.Name
	if ref.Namespace != "" {
		command += " -n " + ref.Namespace
	}
	return command + " -o yaml"
}

// fixCommands are the commands of a fix, for findings of a live cluster. What
// was read from a file is to be changed there, not in a cluster.
func fixCommands(r *bailey.Report, o Options, f *bailey.Finding, fix []bailey.Change) []string {
	if f.Source.File != "" || r.Meta.Medium == "files" {
		return nil
	}
	var commands []string
	for _, c := range fix {
		if command := KubectlCommand(c, o.Kubeconfig, r.Meta.Context); command != "" {
			commands = append(commands, command)
		}
	}
	return commands
}

// shellQuote quotes text for a POSIX shell.
func shellQuote(s string) string {
	if s == "" || !consistsOf(s, "@%+=:,./_-") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// pointerPath turns a JSON pointer into a field path:
// "/metadata/labels/a.b~1c" is metadata.labels["a.b/c"].
func pointerPath(pointer string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = bailey.PointerKey(part)
		switch {
		case part == "-" || part != "" && strings.Trim(part, "0123456789") == "":
			b.WriteString("[" + part + "]")
		case part == "" || part[0] >= '0' && part[0] <= '9' || part[0] == '-' || !consistsOf(part, "_-"):
			b.WriteString("[" + string(appendString(nil, part)) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(part)
		}
	}
	return b.String()
}

// flow writes a JSON-like value as YAML in flow style, shortened: it is for
// reading, the command has it whole.
func flow(v any) string {
	var b strings.Builder
	writeFlow(&b, v)
	return cut(b.String(), 160)
}

const flowLimit = 1000 // bytes; far over what is shown

func writeFlow(b *strings.Builder, v any) {
	if b.Len() > flowLimit {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(flowScalar(key) + ": ")
			writeFlow(b, v[key])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeFlow(b, item)
		}
		b.WriteByte(']')
	case string:
		b.WriteString(flowScalar(v))
	default:
		b.Write(appendValue(nil, v)) // a number, or a typed value as JSON, which is YAML too
	}
}

// flowScalar quotes a string where YAML would take it for something else.
func flowScalar(s string) string {
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return `"` + s + `"`
	}
	if c := s[0]; (c > '9' && isAlnum(c) || c == '_' || c == '/') && consistsOf(s, "_./-@:") && s[len(s)-1] != ':' {
		return s
	}
	return string(appendString(nil, s))
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
