package report

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

func TestDescribeChange(t *testing.T) {
	web := deployment("shop", "web")
	for _, c := range []struct {
		name   string
		change bailey.Change
		want   string
	}{
		{"replace", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "replace", Path: "/spec/replicas", Value: 2}}}, "set spec.replicas: 2"},
		{"false", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/template/spec/containers/0/securityContext/privileged", Value: false}}},
			"set spec.template.spec.containers[0].securityContext.privileged: false"},
		{"several", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "test", Path: "/spec/a", Value: 1}, {Op: "remove", Path: "/spec/paused"}, {Op: "add", Path: "/spec/list/-", Value: "x"}}},
			"remove spec.paused; append to spec.list: x"},
		{"label", bailey.Change{Object: namespace("shop"), Patch: []bailey.PatchOp{{Op: "add", Path: "/metadata/labels/pod-security.kubernetes.io~1enforce", Value: "restricted"}}},
			`in Namespace shop: set metadata.labels["pod-security.kubernetes.io/enforce"]: restricted`},
		{"tree", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/x", Value: map[string]any{"drop": []any{"ALL"}, "add": []string{"yes", ""}, "n": nil}}}},
			`set spec.x: {add: ["yes",""], drop: [ALL], "n": null}`},
		{"creation", bailey.Change{Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Namespace: "shop", Name: "deny"}, Content: map[string]any{"kind": "NetworkPolicy"}, Note: "allow DNS first"},
			"create NetworkPolicy shop/deny (allow DNS first)"},
		{"note only", bailey.Change{Object: web, Note: "choose a user"}, "choose a user"},
		{"tilde", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "remove", Path: "/data/a~0b~1c"}}}, `remove data["a~b/c"]`},
		{"long", bailey.Change{Object: web, Patch: []bailey.PatchOp{{Op: "add", Path: "/x", Value: strings.Repeat("a", 1000)}}}, "set x: " + strings.Repeat("a", 159) + "…"},
	} {
		if got := DescribeChange(c.change, web); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestFlowIsYAML: what is shown as a value means, read as YAML, that value.
func TestFlowIsYAML(t *testing.T) {
	for _, v := range []any{
		"plain", "", "yes", "No", "null", "~", "12", "1e3", "-1", "0x1f", "1.5", "a: b", "a:", "#c", "a #c", "[x]", "{x}", "*a", "&a", "!t", "%x", "@x", "`x`", "'q'", `"q"`, "a\nb", "\t", " lead", "trail ",
		"2026-11-23", "12:30:45", "/var/run", "registry.example/app@sha256:0a1b", "-", "?", "|", ">", "a,b", "é漢", "\x1b[31m", ".5", ".inf", "_", "=",
		true, nil, 3, int64(-4), 2.5, []any{"a", 1, []any{}}, map[string]any{"a b": map[string]any{"true": "x:y"}, "": nil},
	} {
		text := flow(v)
		var got any
		if err := yaml.Unmarshal([]byte("k: "+text), &got); err != nil {
			t.Errorf("%q is shown as %s, which is not YAML: %v", v, text, err)
			continue
		}
		want, _ := json.Marshal(map[string]any{"k": v})
		have, _ := json.Marshal(got)
		if string(want) != string(have) {
			t.Errorf("%#v is shown as %s, which means %s", v, text, have)
		}
	}
}

// TestKubectlCommand runs the commands in a real shell, with a program in
// kubectl's place that writes down what it is given.
func TestKubectlCommand(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; done >\"$OUT\"\ncase \"$*\" in *'-f -'*) cat >\"$OUT.stdin\";; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(command string) (args []string, stdin string) {
		t.Helper()
		out := filepath.Join(dir, "out")
		cmd := exec.Command("/bin/sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "OUT=" + out}
		if text, err := cmd.CombinedOutput(); err != nil || len(text) > 0 {
			t.Fatalf("%s: %v %s", command, err, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		input, _ := os.ReadFile(out + ".stdin")
		return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), string(input)
	}
	nasty := "it's $(touch pwned) `touch pwned` \"; touch pwned; # \\ \n ! %s \x1b[0m \u202e"
	patch := []bailey.PatchOp{{Op: "add", Path: "/metadata/annotations/" + "a'b", Value: nasty}, {Op: "replace", Path: "/x", Value: nil}, {Op: "remove", Path: "/y"}}
	args, _ := run(KubectlCommand(bailey.Change{Object: deployment("shop", "web"), Patch: patch}, "", "prod's $(touch pwned)"))
	want := []string{"patch", "deployment.apps/web", "--context=prod's $(touch pwned)", "-n", "shop", "--type=json", "-p"}
	if diff := cmp.Diff(want, args[:len(args)-1]); diff != "" {
		t.Error(diff)
	}
	var ops []map[string]any
	if err := json.Unmarshal([]byte(args[len(args)-1]), &ops); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]any{{"op": "add", "path": "/metadata/annotations/a'b", "value": nasty}, {"op": "replace", "path": "/x", "value": nil}, {"op": "remove", "path": "/y"}}, ops); diff != "" {
		t.Error(diff)
	}
	content := map[string]any{"kind": "ConfigMap", "data": map[string]any{"k": nasty}}
	args, stdin := run(KubectlCommand(bailey.Change{Object: bailey.Ref{Kind: bailey.KindConfigMap, Namespace: "a", Name: "b"}, Content: content}, "", ""))
	if strings.Join(args, " ") != "create -f -" {
		t.Errorf("create: %q", args)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdin), &got); err != nil || cmp.Diff(content, got) != "" {
		t.Errorf("create got %q, %v", stdin, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("the shell ran what stands in a name")
	}
	command := KubectlCommand(bailey.Change{Object: namespace("shop"), Patch: patch}, "/home/a b/config", "")
	if !strings.HasPrefix(command, "kubectl patch namespace/shop --kubeconfig='/home/a b/config' --type=json") || clean(command) != command {
		t.Errorf("cluster-wide: %q", command)
	}
	for _, ref := range []bailey.Ref{deployment("a b", "c"), deployment("-n", "c"), deployment("a", "c;d"), deployment("a", ""), {Kind: "Pod$x", Name: "a"}, {Kind: "X.g g", Name: "a"}, deployment("a", "c\n")} {
		if command := KubectlCommand(bailey.Change{Object: ref, Patch: patch}, "/home/a b/config", ""); command != "" {
			t.Errorf("%q has a command: %s", ref, command)
		}
	}
	if command := KubectlCommand(bailey.Change{Object: namespace("a"), Note: "think"}, "", ""); command != "" {
		t.Errorf("a note has a command: %s", command)
	}
}

// TestNoCommandForFiles: what was read from a file is put right in the file.
func TestNoCommandForFiles(t *testing.T) {
	for _, format := range []string{"text", "json", "html"} {
		if text := render(t, format, filesReport(), Options{Verbose: true}); strings.Contains(text, "kubectl patch") {
			t.Errorf("%s offers kubectl for a file", format)
		}
		if text := render(t, format, clusterReport(), Options{Verbose: true}); !strings.Contains(text, "kubectl patch deployment.apps/runner --context=prod-eu -n ci") {
			t.Errorf("%s has no command for a cluster", format)
		}
	}
}
