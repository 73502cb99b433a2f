package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/prometheus/common/config"
)

// clientMost bounds the file that says how a receiver is reached, in bytes.
const clientMost = 64 << 10

// quoted is what an error of YAML quotes: it may be a secret.
var quoted = regexp.MustCompile("`[^`]*`")

// NewSender gives what sends to a receiver as a file says, in the form of Prometheus' http_config: by
// which credentials, and trusting whom. The files that it names are read again when they change.
// Errors do not show what was read.
func NewSender(path string) (*http.Client, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, clientMost+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > clientMost:
		return nil, fmt.Errorf("%s is larger than %d KiB", path, clientMost>>10)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	}
	c, err := config.LoadHTTPConfig(string(data))
	if err != nil {
		return nil, errors.New(path + ": " + strings.Join(strings.Fields(quoted.ReplaceAllString(err.Error(), "...")), " "))
	}
	c.SetDirectory(filepath.Dir(path))
	if c.ProxyURL.URL == nil {
		c.ProxyFromEnvironment = true
	}
	transport, err := config.NewRoundTripperFromConfig(*c, "alerts")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sending(transport), nil
}
