package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// exitOnStdinEOF names the variable that ties this process to the holder of the other end of its standard input, as
// for every component of the control plane.
const exitOnStdinEOF = "PLINTH_EXIT_ON_STDIN_EOF"

// shutdown is how long the node may take to end by itself. What calls this waits for ten seconds.
const shutdown = 7 * time.Second

// run starts the node and returns once it is gone, with everything that the host saw of it.
func run(spec *Spec, path string) error {
	// The node is to die with this process, and the kernel understands by that the thread that started it.
	runtime.LockOSThread()
	if err := sweep(spec); err != nil {
		return err
	}
	defer func() {
		if err := sweep(spec); err != nil {
			fmt.Fprintln(os.Stderr, "plinth-node:", err)
		}
	}()
	if err := makeCgroups(spec.Cgroup); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	node, gate, err := start(path)
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- node.Wait() }()
	if err := connect(spec, node.Process.Pid, gate); err != nil {
		_ = node.Process.Kill()
		<-gone
		return err
	}
	select {
	case err := <-gone:
		return fmt.Errorf("the node ended: %w", err)
	case <-ended:
	case <-orphaned():
	}
	_ = node.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(shutdown):
		_ = node.Process.Kill()
		<-gone
	}
	return nil
}

// start makes the node's first process. It waits at the gate until it is connected.
func start(path string) (*exec.Cmd, io.WriteCloser, error) {
	node := exec.Command("/proc/self/exe", "inside", path)
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	node.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC,
		Pdeathsig: syscall.SIGKILL,
	}
	gate, err := node.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := node.Start(); err != nil {
		return nil, nil, fmt.Errorf("making the node's namespaces: %w", err)
	}
	return node, gate, nil
}

// connect plugs the cable in, shows the host where the node is, and opens the gate.
func connect(spec *Spec, pid int, gate io.WriteCloser) error {
	if err := plugIn(spec, pid); err != nil {
		return err
	}
	if err := forwardAPI(spec); err != nil {
		return err
	}
	if err := os.Symlink(fmt.Sprintf("/proc/%d/root", pid), spec.Root); err != nil {
		return err
	}
	return gate.Close()
}

// orphaned is closed when whoever started this process is gone. The kernel closes a pipe whatever way its holder dies.
func orphaned() <-chan struct{} {
	gone := make(chan struct{})
	if os.Getenv(exitOnStdinEOF) == "1" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(gone)
		}()
	}
	return gone
}

// sweep removes what an earlier run of this node has left on the host, and nothing that does not bear its name.
func sweep(spec *Spec) error {
	if err := os.Remove(spec.Root); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := removeCgroups(spec.Cgroup); err != nil {
		return err
	}
	return unplug(spec.Device)
}
