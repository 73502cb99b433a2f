package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A measurement that must have a process of its own, for its peak memory, runs
// this program again with these variables set.
const (
	childVariable = "BAILEY_BENCH_CHILD"
	childArgument = "BAILEY_BENCH_ARGUMENT"
)

var children = map[string]func(arg string) error{
	"parse": parseChild,
	"judge": judgeChild,
	"serve": serveChild,
}

// cost is what one process took.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes, resident
	out       string
}

// measure runs a command and gives its cost. A non-zero exit is an error but
// for 1, which is how a scan says that there are findings.
func measure(cmd *exec.Cmd) (cost, error) {
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil && (cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || errors.Len() > 0) {
		return cost{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, errors.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss << 10, out.String()}, nil
}

// best repeats a command and gives the run with the least wall time: what else
// the machine does only adds.
func best(times int, command func() *exec.Cmd) (cost, error) {
	var least cost
	for i := range times {
		c, err := measure(command())
		if err != nil {
			return cost{}, err
		}
		if i == 0 || c.wall < least.wall {
			least = c
		}
	}
	return least, nil
}

// again is a command that runs this program for one child measurement.
func again(child, arg string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+child, childArgument+"="+arg)
	return cmd
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// resident is the memory in bytes that this process holds now.
func resident() int64 { return memoryOf(os.Getpid(), "VmRSS") }

// memoryOf is one of the figures of memory in the status of a process, in bytes; 0 where it has
// none, or has ended.
func memoryOf(pid int, figure string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, figure+":"); found {
			kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// processorTime is what a process has used.
func processorTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the program's name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}
