package object

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestCommandLine: a component is known behind what hands over to it. A script that
// expands something tells no flags, and a component that is only named in one is not run.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		command, args []string
		want          string
	}{
		{[]string{"/usr/local/bin/kube-apiserver", "--a=1"}, []string{"--b"}, "kube-apiserver [--a=1 --b]"},
		{nil, []string{"/hyperkube-of-own", "--a"}, "hyperkube-of-own [--a]"},
		{nil, []string{"--a"}, " []"},
		{[]string{"hyperkube", "kube-apiserver"}, []string{"--a"}, "kube-apiserver [--a]"},
		{[]string{"/go-runner"}, []string{"--log-file=/var/log/x.log", "--also-stdout", "/usr/local/bin/kube-scheduler", "--a"}, "kube-scheduler [--a]"},
		{[]string{"/go-runner"}, []string{"--also-stdout"}, "go-runner []"},
		{[]string{"/bin/sh", "-c", "exec /usr/local/bin/kube-apiserver --a=1 --b='x y' 1>>/var/log/a.log 2>&1"}, nil, "kube-apiserver [--a=1 --b=x y]"},
		{[]string{"bash", "-ec"}, []string{"mkfifo /tmp/p; (tee -a /var/log/x < /tmp/p & ) ; exec kube-apiserver \\\n --a \"--b=1\" > /tmp/p 2>&1"}, "kube-apiserver [--a --b=1]"},
		{[]string{"sh", "-c", "if true; then A=1 kube-proxy --a || exit 1; fi"}, nil, "kube-proxy [--a]"},
		{[]string{"sh", "-c", "kube-apiserver $FLAGS"}, nil, " []"},
		{[]string{"sh", "-c", "kube-apiserver --a=$(cat /x)"}, nil, " []"},
		{[]string{"sh", "-c", "kube-apiserver --a='"}, nil, " []"},
		{[]string{"sh", "-c", "echo kube-apiserver --a"}, nil, " []"},
		{[]string{"sh", "/start.sh"}, nil, "sh []"},
		{[]string{"sh", "-c"}, nil, "sh []"},
	} {
		name, args := commandLine(&corev1.Container{Command: c.command, Args: c.args})
		if got := fmt.Sprint(name, " ", args); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.command, c.args, got, c.want)
		}
	}
}

func FuzzShellWords(f *testing.F) {
	f.Add("exec kube-apiserver --a='x y' 1>>/var/log/a.log 2>&1 & wait")
	f.Add("a\\\n \"b `c` $d\" <e |f")
	f.Fuzz(func(t *testing.T, script string) {
		words, _ := shellWords(script)
		length := 0
		for _, w := range words {
			length += len(w.text)
			if w.operator && w.text != "" {
				t.Errorf("%q: an operator with a text", script)
			}
		}
		if length > len(script) {
			t.Errorf("%q: words of %d bytes", script, length)
		}
		// Words of letters alone are what stands between spaces.
		if strings.Trim(script, "abcdefghijklmnopqrstuvwxyz ") == "" {
			var plain []string
			for _, w := range words {
				plain = append(plain, w.text)
			}
			if !slices.Equal(plain, strings.Fields(script)) {
				t.Errorf("%q: %q", script, plain)
			}
		}
	})
}
