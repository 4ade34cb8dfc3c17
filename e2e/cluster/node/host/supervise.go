package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// backOff is how long a process that ended waits for its next start.
	backOff = time.Second
	// farewell is how long containers may take to end when the node does.
	farewell = 4 * time.Second
)

// environment of everything on the node: nothing of the caller's. containerd looks for its shim on the path.
var environment = []string{
	"PATH=/run/plinth/bin/host:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/run/plinth",
}

// supervise keeps the processes running and, being the first process of its namespace, buries whatever else ends. It
// returns when it is told to end and all are gone, or have had the time.
func supervise(processes []Process) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	running := map[int]Process{}
	due := make(chan Process, len(processes))
	for _, process := range processes {
		due <- process
	}
	for {
		select {
		case process := <-due:
			pid, err := spawn(process)
			if err != nil {
				return err
			}
			running[pid] = process
		case <-children:
			for _, pid := range bury() {
				if process, ours := running[pid]; ours {
					delete(running, pid)
					fmt.Fprintf(os.Stderr, "plinth-node: %s ended and is started again\n", process.Name)
					time.AfterFunc(backOff, func() { due <- process })
				}
			}
		case <-ended:
			sayFarewell(children)
			return nil
		}
	}
}

func spawn(process Process) (int, error) {
	log, err := os.OpenFile(process.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attributes := &os.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	started, err := os.StartProcess(process.Args[0], process.Args, attributes)
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", process.Name, err)
	}
	// It is buried with the others, by its number.
	pid := started.Pid
	return pid, started.Release()
}

// bury takes the status of every child that ended, and returns their numbers.
func bury() []int {
	var dead []int
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return dead
		}
		dead = append(dead, pid)
	}
}

// sayFarewell asks everything on the node to end, as a machine does that is switched off. What does not is ended by the
// kernel when this process is gone.
func sayFarewell(children <-chan os.Signal) {
	_ = syscall.Kill(-1, syscall.SIGTERM)
	until := time.After(farewell)
	for {
		bury()
		if errors.Is(syscall.Kill(-1, 0), syscall.ESRCH) {
			return
		}
		select {
		case <-children:
		case <-until:
			return
		}
	}
}
