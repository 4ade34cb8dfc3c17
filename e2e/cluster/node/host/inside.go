package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// kernelSettings are what the kubelet wants and otherwise writes. They belong to the whole host, so the node sees files
// with these values in their place.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// inside is the node's first process: it makes the file system, joins the network and keeps the processes running until
// it is told to end.
func inside(spec *Spec) error {
	// The cable is there once the gate is open.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := makeFileSystem(spec); err != nil {
		return err
	}
	if err := joinNetwork(spec); err != nil {
		return err
	}
	return supervise(spec.Processes)
}

// makeFileSystem gives the node the host's programs and libraries, but its own /proc, /run, /tmp and what it mounts.
func makeFileSystem(spec *Spec) error {
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC); err != nil {
		return err
	}
	// Held open, because what is mounted below may hide where they are.
	folders := make([]*os.File, len(spec.Mounts))
	for nth, show := range spec.Mounts {
		folder, err := os.Open(show.From)
		if err != nil {
			return err
		}
		defer folder.Close()
		folders[nth] = folder
	}
	for _, own := range []string{"/run", "/tmp"} {
		if err := mount("tmpfs", own, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV); err != nil {
			return err
		}
	}
	for nth, show := range spec.Mounts {
		if err := bind(fmt.Sprintf("/proc/self/fd/%d", folders[nth].Fd()), show.To, show.ReadOnly); err != nil {
			return err
		}
	}
	if err := coverKernelSettings(); err != nil {
		return err
	}
	// Volumes that pods mount are seen by other pods; nothing of it reaches the host.
	return mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED)
}

func bind(from, to string, readOnly bool) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := mount(from, to, "", syscall.MS_BIND); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	return mount("", to, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY)
}

func coverKernelSettings() error {
	const dir = "/run/plinth/kernel"
	for setting, value := range kernelSettings {
		path := filepath.Join("/proc/sys", setting)
		if _, err := os.Stat(path); err != nil {
			// A kernel without it has nothing to protect.
			continue
		}
		file := filepath.Join(dir, setting)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, path, "", syscall.MS_BIND); err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr) error {
	if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	return nil
}
