package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// runsFolder, in a cluster's state folder, holds the journals of its runs.
const runsFolder = "runs"

// throwSwitches stops the experiments on every cluster that was proven from this
// state folder, or lets them go on. It asks no cluster: the one to be spared may
// no longer answer.
func (a *app) throwSwitches(stop bool) error {
	home, err := stateHome()
	if err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(home, "*", runsFolder))
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		fmt.Fprintln(a.stdout, "Nothing was ever proven from here: there is nothing to stop.")
		return nil
	}
	for _, folder := range folders {
		path := stopFile(filepath.Dir(folder))
		if !stop {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, []byte(a.now().UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
			return fmt.Errorf("the stop switch could not be thrown: %w\nhint: interrupt the prover itself", err)
		}
	}
	if !stop {
		fmt.Fprintln(a.stdout, "Experiments may run again.")
		return nil
	}
	fmt.Fprintln(a.stdout, "Stopped: running experiments end within seconds and clean up; none begins until `bailey prove --resume`.")
	return nil
}

func stopFile(state string) string { return filepath.Join(state, "STOP") }
