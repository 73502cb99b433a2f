// Package probe does the harmless actions of experiments: it opens connections,
// makes system calls, opens files and reads which kernel it sees. The prover runs
// them where it is, and `bailey probe` in a pod of Bailey's own.
package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/baileyhq/bailey"
)

// reportLimit bounds a report, in bytes: Kubernetes cuts termination messages
// at 4096.
const reportLimit = 4000

// Report is what a task came to.
type Report struct {
	Accepted bool           `json:"accepted"`
	Refuser  bailey.Refuser `json:"refuser,omitempty"`
	Message  string         `json:"message,omitempty"`
	// Failed tells that the task could not be tried: nothing was learned.
	Failed bool   `json:"failed,omitempty"`
	Kernel string `json:"kernel,omitempty"`
}

func accepted(format string, args ...any) Report {
	return Report{Accepted: true, Message: fmt.Sprintf(format, args...)}
}

func refused(by bailey.Refuser, format string, args ...any) Report {
	return Report{Refuser: by, Message: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) Report {
	return Report{Failed: true, Message: fmt.Sprintf(format, args...)}
}

// DoAll does tasks here, at the same time, and gives their reports in order.
func DoAll(ctx context.Context, tasks []*bailey.Task) []Report {
	reports := make([]Report, len(tasks))
	var all sync.WaitGroup
	for i, t := range tasks {
		all.Go(func() { reports[i] = Do(ctx, t) })
	}
	all.Wait()
	return reports
}

// Do does a task here, whatever its In says. It returns when the task is done or
// ctx ends; Listen and Send last until ctx ends.
func Do(ctx context.Context, t *bailey.Task) Report {
	switch {
	case t.Dial != nil:
		return dial(ctx, t.Dial)
	case t.Listen > 0:
		return listen(ctx, t.Listen)
	case t.Send != nil:
		return send(ctx, t.Send)
	case t.Wire != nil:
		return wire(ctx, t.Wire)
	case t.Export != nil:
		return export(ctx, t.Export)
	case t.Syscall != "":
		return syscallNamed(t.Syscall)
	case t.Kernel != nil:
		return kernel(*t.Kernel)
	}
	return failed("a task that names no action")
}

// Parse reads a task from JSON. Fields that it does not know are an error: the
// pod's Bailey is older than the prover's.
func Parse(data []byte) (*bailey.Task, error) {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	t := &bailey.Task{}
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("the task is not understood: %w\nhint: the probe image must hold the same version of Bailey as the prover", err)
	}
	return t, nil
}

// Write writes the reports of a pod's tasks where the kubelet looks for a termination message.
func Write(path string, reports []Report) error {
	for i := range reports {
		if most := reportLimit / 2 / len(reports); len(reports[i].Message) > most {
			reports[i].Message = reports[i].Message[:most]
		}
	}
	data, err := json.Marshal(reports)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Read reads the reports of so many tasks from a termination message.
func Read(message string, tasks int) ([]Report, error) {
	var reports []Report
	if err := json.Unmarshal([]byte(message), &reports); err != nil {
		return nil, fmt.Errorf("the probe pod left no report: %w", err)
	}
	if len(reports) != tasks {
		return nil, fmt.Errorf("the probe pod left %d reports of %d tasks", len(reports), tasks)
	}
	for _, r := range reports {
		said := 0
		for _, is := range []bool{r.Accepted, r.Refuser != "", r.Failed} {
			if is {
				said++
			}
		}
		if said != 1 {
			return nil, fmt.Errorf("the probe pod's report says %d of accepted, refused and failed, where one is expected", said)
		}
	}
	return reports, nil
}

// kernel reads the kernel's release and version, as uname says them.
func kernel(expected string) Report {
	name, err := uname()
	if err != nil {
		return failed("uname: %v", err)
	}
	r := Report{Accepted: true, Kernel: name, Message: "sees the kernel " + name}
	if expected != "" && name != expected {
		r.Accepted, r.Refuser = false, bailey.RefuserKernel
	}
	return r
}
