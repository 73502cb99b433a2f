package main

import "testing"

// TestScanCommandLine: the command of a hint scans what was scanned, and not
// the current cluster.
func TestScanCommandLine(t *testing.T) {
	for _, c := range []struct {
		target  targetFlags
		judge   judgeFlags
		targets []string
		want    string
	}{
		{want: "bailey scan"},
		{target: targetFlags{kubeconfig: "/tmp/it's a kubeconfig", context: "prod", namespaces: []string{"a", "b"}},
			want: `bailey scan --kubeconfig '/tmp/it'\''s a kubeconfig' --context prod -n a -n b`},
		{judge: judgeFlags{controls: []string{"compute/*"}}, targets: []string{"./deploy", "-"},
			want: "bailey scan ./deploy - -c 'compute/*'"},
		{target: targetFlags{values: []string{"prod.yaml"}, sets: []string{"image.tag=1.2"}}, targets: []string{"chart"},
			want: "bailey scan chart -f prod.yaml --set image.tag=1.2"},
	} {
		if got := scanCommandLine(&c.target, &c.judge, c.targets); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
