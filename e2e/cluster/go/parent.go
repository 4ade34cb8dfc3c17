package main

import (
	"io"
	"os"
	"syscall"
	"time"
)

// exitOnStdinEOF names the variable that ties this process to the holder of the other end of its standard input.
const exitOnStdinEOF = "PLINTH_EXIT_ON_STDIN_EOF"

// gracePeriod is how long a component may take to end by itself once its parent is gone.
const gracePeriod = 5 * time.Second

// exitWithParent makes the process end when its standard input does. The kernel closes a pipe whatever way its
// holder dies, SIGKILL included, so nothing that is started like this can be left behind.
func exitWithParent() {
	if os.Getenv(exitOnStdinEOF) != "1" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(gracePeriod)
		os.Exit(1)
	}()
}
