package node

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// embedded reads a program that runs the components within itself.
func (c *collector) embedded(p *process) {
	program := strings.TrimSuffix(strings.TrimSuffix(p.program, "-server"), "-agent")
	kinds := []bailey.Kind{bailey.KindKubelet}
	if program == "k3s" {
		kinds = append(kinds, bailey.KindKubeProxy)
		if _, agent := p.flags["server"]; !agent {
			kinds = append(kinds, bailey.ControlPlane...)
		}
	}
	for _, k := range kinds {
		c.inside[k] = program
	}
	folder := c.dataFolder(p)
	if folder == "" {
		return
	}
	for _, sub := range []string{"server/tls", "server/tls/etcd", "server/cred", "agent"} {
		c.keyFolder(p, path.Join(folder, sub), program+" data folder")
	}
	for _, token := range []string{"server/token", "server/node-token", "server/agent-token"} {
		c.look(p, path.Join(folder, token), program+" data folder", bailey.RoleCredential)
	}
	c.look(p, path.Join(folder, "server/db"), program+" data folder", bailey.RoleData)
	c.look(p, "/etc/rancher/"+program+"/"+program+".yaml", program+"'s administrator", bailey.RoleKubeconfig)
	c.manifests(p, path.Join(folder, "agent/pod-manifests"))
	if c.kubeletArguments(p, program) {
		return // they override the files, and no process shows them
	}
	if config := c.dropIns(p, path.Join(folder, "agent/etc/kubelet.conf.d"), nil); config != nil && len(c.components[bailey.KindKubelet]) == 0 {
		c.components[bailey.KindKubelet] = []*bailey.Component{{Node: c.node, Version: c.versionOf(p), Within: program, Config: config}}
	}
}

var kubeletArgument = regexp.MustCompile(`(?m)^\s*["']?kubelet-arg\+?["']?\s*:`)

// kubeletArguments reports whether the program, k3s or RKE2, is told to start its kubelet with
// arguments, by its command line or its configuration, or whether that cannot be told.
func (c *collector) kubeletArguments(p *process, program string) bool {
	variable := strings.ToUpper(program) + "_CONFIG_FILE"
	named, known := c.variable(p, variable)
	started := c.started(p, variable)
	if p.flags["kubelet-arg"] != "" || started.flags["kubelet-arg"] != "" || !known && !started.found {
		return true
	}
	// The variable comes before the flag: both programs ask for it first.
	for _, value := range []string{started.variable, p.flags["config"], p.flags["c"], started.flags["config"], started.flags["c"]} {
		if named == "" {
			named = value
		}
	}
	main := named
	if named == "" {
		main = "/etc/rancher/" + program + "/config.yaml"
	}
	if !path.IsAbs(main) { // an address, or a path from a folder that is not known
		return true
	}
	files, _ := filepath.Glob(c.at(p, main+".d") + "/*.y*ml")
	for i, file := range append([]string{c.at(p, main)}, files...) {
		text, err := readBounded(file, maxDocument)
		absent := errors.Is(err, fs.ErrNotExist) && (i > 0 || named == "") // the one that was named must be there
		if err != nil && !absent || kubeletArgument.Match(text) {
			return true
		}
	}
	return false
}

// variable gives the value of one variable of a process's environment, of which nothing else
// is kept: tokens and passwords stand there. Empty is one that is not set, or that the process
// wrote its title over, as k3s does; known is false where the environment could not be read.
func (c *collector) variable(p *process, name string) (value string, known bool) {
	text, err := readBounded(filepath.Join(c.proc, strconv.Itoa(p.pid), "environ"), maxDocument)
	if err != nil {
		return "", errors.Is(err, fs.ErrNotExist)
	}
	defer clear(text)
	for setting := range bytes.SplitSeq(text, []byte{0}) {
		if v, is := bytes.CutPrefix(setting, []byte(name+"=")); is {
			return string(v), true
		}
	}
	return "", true
}

// start is how a service's unit starts its program.
type start struct {
	found    bool
	flags    map[string]string // of its command
	variable string            // the value of the one variable that was asked for
}

// started reads the unit that starts a process, with its drop-ins and the environment files
// that they name. The last that says something holds.
func (c *collector) started(p *process, variable string) start {
	var s start
	if p.unit == "" || !sameFolder(p.root, c.root) {
		return s
	}
	var files []string
	for _, folder := range slices.Backward(unitFolders) { // the first of them that has the unit counts
		unit := path.Join(folder, p.unit)
		if text, err := readBounded(c.at(p, unit), maxDocument); err == nil {
			s = start{found: true}
			c.unitLines(p, &s, string(text), variable)
		}
		for _, name := range c.list(p, unit+".d") {
			if strings.HasSuffix(name, ".conf") {
				files = append(files, path.Join(unit+".d", name))
			}
		}
	}
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	for _, file := range files {
		if text, err := readBounded(c.at(p, file), maxDocument); err == nil {
			c.unitLines(p, &s, string(text), variable)
		}
	}
	return s
}

// unitLines takes from a unit's text (systemd.service(5), systemd.exec(5)) what it starts and
// one variable. %N and %n in names of files are the unit's.
func (c *collector) unitLines(p *process, s *start, text, variable string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch strings.TrimSpace(key) {
		case "ExecStart":
			words := strings.Fields(value)
			for i := range words {
				words[i] = strings.Trim(words[i], `'"`)
			}
			s.flags = object.Flags(words)
		case "Environment":
			for _, word := range strings.Fields(value) {
				if v, is := strings.CutPrefix(strings.Trim(word, `'"`), variable+"="); is {
					s.variable = strings.Trim(v, `'"`)
				}
			}
		case "EnvironmentFile":
			name := strings.TrimPrefix(strings.Trim(strings.TrimSpace(value), `'"`), "-")
			name = strings.NewReplacer("%N", strings.TrimSuffix(p.unit, path.Ext(p.unit)), "%n", p.unit).Replace(name)
			if v := c.inEnvironmentFile(p, name, variable); v != "" {
				s.variable = v
			}
		}
	}
}

// inEnvironmentFile gives the value of one variable in a file of them, of which nothing else
// is kept.
func (c *collector) inEnvironmentFile(p *process, name, variable string) (value string) {
	if !path.IsAbs(name) {
		return ""
	}
	text, err := readBounded(c.at(p, name), maxDocument)
	if err != nil {
		return "" // a file that is not there is the usual case
	}
	defer clear(text)
	for line := range bytes.Lines(text) {
		if v, is := bytes.CutPrefix(bytes.TrimSpace(line), []byte(variable+"=")); is {
			value = strings.Trim(string(v), `'"`)
		}
	}
	return value
}
