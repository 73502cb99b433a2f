package release

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

const modulePath = "github.com/baileyhq/bailey"

// Program is Bailey's program, with what the Go toolchain wrote into it.
type Program struct {
	Path     string
	Digest   string // SHA-256, in hex
	Version  string
	Revision string    // the commit; empty where it was built outside a repository
	Modified bool      // the working tree held more than the commit
	Time     time.Time // of the commit, in UTC; the Unix epoch if it is not known
	OS       string
	// Architecture is a GOARCH.
	Architecture string
	Build        *debug.BuildInfo
}

// Read reads a program. The version is the one it was linked with, which its build
// information does not hold.
func Read(file, version string) (*Program, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w\nhint: make build", file, err)
	}
	if info.Main.Path != modulePath {
		return nil, fmt.Errorf("%s is a program of %s, not of %s", file, info.Main.Path, modulePath)
	}
	p := &Program{Path: file, Version: version, Time: time.Unix(0, 0).UTC(), OS: "linux", Build: info}
	if p.Version == "" {
		p.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			p.Revision = s.Value
		case "vcs.modified":
			p.Modified = s.Value == "true"
		case "vcs.time":
			if p.Time, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return nil, fmt.Errorf("%s: the time of its commit: %w", file, err)
			}
			p.Time = p.Time.UTC()
		case "GOOS":
			p.OS = s.Value
		case "GOARCH":
			p.Architecture = s.Value
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	p.Digest = hex.EncodeToString(h.Sum(nil))
	return p, nil
}

// setting is a build setting, such as "-trimpath".
func (p *Program) setting(key string) string {
	for _, s := range p.Build.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
