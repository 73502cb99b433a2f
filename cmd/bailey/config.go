package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
)

// configName is the file that is looked for from the working directory upwards.
const configName = "bailey.yaml"

// configLimit bounds the configuration file, in bytes.
const configLimit = 1 << 20

// config is what bailey.yaml may say.
type config struct {
	// FailOn and FailOnUnknown are the defaults of the flags of the same name.
	FailOn        string `json:"failOn,omitempty"`
	FailOnUnknown bool   `json:"failOnUnknown,omitempty"`
	// KubernetesVersion is the version at which files are judged.
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// Complete names the platform's kinds of which the files hold every object.
	Complete []string `json:"complete,omitempty"`
	// Baseline is the path of a baseline, relative to the configuration.
	Baseline string         `json:"baseline,omitempty"`
	Waivers  []configWaiver `json:"waivers,omitempty"`
	// Trust names the public keys (PEM files, relative to the configuration) whose
	// evidence counts; without any, the state folder's own key.
	Trust []string `json:"trust,omitempty"`
	// Ledger is the folder of a ledger that takes every piece of evidence.
	Ledger string `json:"ledger,omitempty"`
	// Detection says where it shows that experiments were noticed.
	Detection configDetection `json:"detection,omitzero"`
	// Images says by what images are judged.
	Images configImages `json:"images,omitzero"`
	// Schedule says when `bailey prove --every` may do more than dry-runs.
	Schedule configSchedule `json:"schedule,omitzero"`

	path string
}

// configDetection names who should notice attacks.
type configDetection struct {
	AuditLog     string `json:"auditLog,omitempty"`     // a file of audit events
	Alertmanager string `json:"alertmanager,omitempty"` // a URL
	Webhook      string `json:"webhook,omitempty"`      // an address to listen at
}

// configImages says who may vouch for images, and how registries are asked. Paths are
// relative to the configuration.
type configImages struct {
	TrustPolicy string   `json:"trustPolicy,omitempty"`
	RegistryCA  string   `json:"registryCA,omitempty"`
	PlainHTTP   []string `json:"plainHTTP,omitempty"`
	Try         []string `json:"try,omitempty"` // images that experiments are to try
}

// configSchedule is a window in which experiments may act.
type configSchedule struct {
	Window   string   `json:"window,omitempty"`   // from one time of day to another
	Days     []string `json:"days,omitempty"`     // of the week, on which it begins
	TimeZone string   `json:"timeZone,omitempty"` // IANA name
}

// configWaiver is a waiver as people write it: the expiry may be a plain date.
type configWaiver struct {
	Rule      string `json:"rule"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Reason    string `json:"reason"`
	Owner     string `json:"owner"`
	Expires   string `json:"expires"`
}

// loadConfig reads the file at path, or, if it is empty, the nearest
// bailey.yaml from the working directory upwards. Without one it is empty.
func loadConfig(path string) (*config, error) {
	if path == "" {
		found, err := findUpwards(configName)
		if err != nil || found == "" {
			return &config{}, err
		}
		path = found
	}
	data, err := readBounded(path, configLimit)
	if err != nil {
		return nil, fmt.Errorf("the configuration could not be read: %w", err)
	}
	return parseConfig(path, data)
}

func parseConfig(path string, data []byte) (*config, error) {
	c := &config{path: path}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, usageError("%s: %v\nhint: the README lists what bailey.yaml may say", path, shortYAMLError(err))
	}
	return c, nil
}

func findUpwards(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return data, nil
}

func shortYAMLError(err error) string {
	text := strings.TrimPrefix(err.Error(), "error unmarshaling JSON: ")
	text = strings.TrimPrefix(text, "while decoding JSON: ")
	return strings.ReplaceAll(text, "json: ", "")
}

// waivers validates the configured waivers.
func (c *config) waivers() ([]bailey.Waiver, error) {
	var all []bailey.Waiver
	for i, w := range c.Waivers {
		expires, err := parseExpiry(w.Expires)
		if err != nil {
			return nil, usageError("%s: waiver %d: %w", c.path, i+1, err)
		}
		waiver := bailey.Waiver{Rule: w.Rule, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, Reason: w.Reason, Owner: w.Owner, Expires: expires}
		if err := check.ValidateWaiver(waiver, controls.All()); err != nil {
			return nil, usageError("%s: waiver %d: %w", c.path, i+1, err)
		}
		all = append(all, waiver)
	}
	return all, nil
}

// parseExpiry takes a date, which lasts to its end in UTC, or an RFC 3339 time.
func parseExpiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("expires: %q is no date\nhint: write it like 2027-01-31", text)
	}
	return at, nil
}

// complete gives the kinds that the configuration calls complete.
func (c *config) complete() ([]bailey.Kind, error) {
	var kinds []bailey.Kind
	for _, name := range c.Complete {
		found := false
		for _, k := range bailey.KnownKinds() {
			if strings.EqualFold(k.Short(), name) || strings.EqualFold(string(k), name) {
				kinds = append(kinds, k)
				found = true
			}
		}
		if !found {
			return nil, usageError("%s: complete: there is no kind %q\nhint: write a kind like Namespace or ClusterRole", c.path, name)
		}
	}
	return kinds, nil
}

// relative gives a path of the configuration as seen from the working directory.
func (c *config) relative(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.path), path)
}
