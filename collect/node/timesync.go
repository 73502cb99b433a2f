package node

import (
	"path"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// timeFiles are the configurations of the programs that keep the time: their own
// files, and the folders whose files they read as well.
var timeFiles = []struct{ program, file, folder, ext string }{
	{"chrony", "/etc/chrony/chrony.conf", "/etc/chrony/conf.d", ".conf"},
	{"chrony", "/etc/chrony.conf", "/etc/chrony.d", ".conf"},
	{"chrony", "", "/etc/chrony/sources.d", ".sources"},
	{"ntpd", "/etc/ntpsec/ntp.conf", "/etc/ntpsec/ntp.d", ".conf"},
	{"ntpd", "/etc/ntp.conf", "", ""},
	{"timesyncd", "/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d", ".conf"},
}

// timeSources reads where the machine takes its time from.
func (c *collector) timeSources() {
	host := &process{root: c.root}
	for _, t := range timeFiles {
		files := []string{}
		if t.file != "" {
			files = append(files, t.file)
		}
		if t.folder != "" {
			for _, name := range c.list(host, t.folder) {
				if strings.HasSuffix(name, t.ext) {
					files = append(files, path.Join(t.folder, name))
				}
			}
		}
		for _, file := range files {
			if text, err := readBounded(c.inRoot(file), maxDocument); err == nil {
				c.host.TimeSources = append(c.host.TimeSources, sources(t.program, file, string(text))...)
			}
		}
	}
}

const maxSources = 100

// sources reads the servers of a configuration: "server NAME nts" and "pool NAME key 1"
// of chrony.conf(5) and ntp.conf(5), and clocks of the machine itself ("refclock PHC /dev/ptp0"),
// "NTP=NAME NAME" of timesyncd.conf(5).
func sources(program, file, text string) []bailey.TimeSource {
	var all []bailey.TimeSource
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || len(all) >= maxSources || strings.ContainsAny(fields[0][:1], "#;!%") {
			continue
		}
		if program == "timesyncd" {
			key, value, found := strings.Cut(strings.TrimSpace(line), "=")
			if found && (key == "NTP" || key == "FallbackNTP") {
				for _, server := range strings.Fields(value) {
					all = append(all, bailey.TimeSource{Program: program, File: file, Server: server})
				}
			}
			continue
		}
		if strings.EqualFold(fields[0], "refclock") && len(fields) > 1 {
			all = append(all, bailey.TimeSource{Program: program, File: file, Server: strings.Join(fields[1:min(3, len(fields))], " "), Clock: true})
			continue
		}
		if kind := strings.ToLower(fields[0]); (kind == "server" || kind == "pool" || kind == "peer") && len(fields) > 1 {
			all = append(all, bailey.TimeSource{Program: program, File: file, Server: fields[1],
				NTS: slices.Contains(fields[2:], "nts"), Key: slices.Contains(fields[2:], "key")})
		}
	}
	return all
}
