package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// emptying is how long the kernel may take to let go of a cgroup whose processes were killed. On a machine that is busy,
// taking the node's namespaces apart took it more than five seconds.
const emptying = time.Minute

// weights are by the names of version 1 and 2. The host gives a cgroup the time of one process, unless told otherwise; on
// one that is busy, all pods together would starve and fail their probes. Eight are what a small machine runs.
var weights = map[string]string{"cpu.shares": "8192", "cpu.weight": "800"}

// hierarchies returns where each hierarchy of cgroups is mounted: one with version 2, one for each controller with
// version 1.
func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			found = append(found, fields[1])
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroup file system is mounted")
	}
	return found, nil
}

// makeCgroups makes the one that all pods are below.
func makeCgroups(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		// A new cpuset of version 1 is empty, and so holds no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(root, dir, file); err != nil {
				return err
			}
		}
		for file, weight := range weights {
			path := filepath.Join(dir, file)
			if _, err := os.Stat(path); err != nil {
				// Another hierarchy's, or another version's.
				continue
			}
			if err := os.WriteFile(path, []byte(weight), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func inherit(parent, child, file string) error {
	value, err := os.ReadFile(filepath.Join(parent, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(child, file), bytes.TrimSpace(value), 0o644)
}

// removeCgroups ends what still runs below the cgroup and removes it.
func removeCgroups(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := removeCgroup(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

func removeCgroup(top string) error {
	var dirs []string
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	until := time.Now().Add(emptying)
	// Children before their parents.
	for nth := len(dirs) - 1; nth >= 0; nth-- {
		for {
			killAll(dirs[nth])
			err := syscall.Rmdir(dirs[nth])
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(until) {
				return fmt.Errorf("removing the cgroup %s: %w", dirs[nth], err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

func killAll(cgroup string) {
	processes, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	if err != nil {
		return
	}
	for _, field := range strings.Fields(string(processes)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
