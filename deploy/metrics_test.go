package deploy_test

import (
	"io/fs"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/baileyhq/bailey/deploy"
	"github.com/baileyhq/bailey/server"
)

func readFile(name string) ([]byte, error) { return fs.ReadFile(deploy.Files(), name) }

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

// served gives the server's metrics by name, with what describes each.
func served(t *testing.T) map[string]string {
	t.Helper()
	m := server.NewMetrics("test", server.NewLoop(server.LoopOptions{}, server.NewNews()))
	m.ShowLeads(func() bool { return true })
	m.ShowKept(time.Now)
	m.Registry.MustRegister(&server.Book{}, server.NewDetector(server.DetectorOptions{}))
	all := make(chan *prometheus.Desc)
	go func() {
		m.Registry.Describe(all)
		close(all)
	}()
	have := map[string]string{}
	for d := range all {
		if name := fqName.FindStringSubmatch(d.String()); name != nil {
			have[name[1]] = d.String()
		}
	}
	return have
}
