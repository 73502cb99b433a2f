package devclustertest

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestShared(t *testing.T) {
	cluster := Shared(t)
	if again := Shared(t); again != cluster {
		t.Error("another cluster")
	}
	if _, err := os.Stat(cluster.Kubeconfig); err != nil {
		t.Error(err)
	}
	if state := os.Getenv(StateVariable); state != "" && cluster.Dir != state {
		t.Errorf("%s instead of the run's %s", cluster.Dir, state)
	}
}

func TestNamespace(t *testing.T) {
	cluster := Shared(t)
	var names []string
	t.Run("Sub Test/with_Ünusual ch@racters and a name that is far too long for a label", func(t *testing.T) {
		names = append(names, Namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}), Namespace(t, nil))
		var got struct {
			Metadata struct{ Labels map[string]string }
		}
		if err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+names[0], nil, &got); err != nil {
			t.Fatal(err)
		}
		if got.Metadata.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("labels %v", got.Metadata.Labels)
		}
	})
	if names[0] == names[1] || !strings.HasPrefix(names[0], "testnamespace-sub-test-with-") {
		t.Errorf("names %q", names)
	}
	for _, name := range names {
		var got struct{ Status struct{ Phase string } }
		err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+name, nil, &got)
		if err == nil && got.Status.Phase != "Terminating" {
			t.Errorf("%s is not being deleted but %s", name, got.Status.Phase)
		}
	}
}

func TestNamespaceName(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	for _, test := range []string{"TestX", "", "Test/7", "7", "ÄÖÜ", strings.Repeat("x-", 80)} {
		if name := namespaceName(test); !label.MatchString(name) || len(name) > 63 {
			t.Errorf("%q gives %q", test, name)
		}
	}
}
