// Command toolbox is the one program in the node's own image: what a pod needs to exist (pause), what the volume
// provisioner's helper runs (sh), and what tests run in their pods. It packs programs into images, itself included.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// tools by the name that the program is called by, or its first argument.
var tools = map[string]func(arguments []string) error{
	"pause":   pause,
	"sh":      shell,
	"serve":   serve,
	"connect": connect,
	"image":   writeImage,
}

func main() {
	name, arguments := filepath.Base(os.Args[0]), os.Args[1:]
	tool, known := tools[name]
	if !known && len(arguments) > 0 {
		name, arguments = arguments[0], arguments[1:]
		tool, known = tools[name]
	}
	if !known {
		fmt.Fprintln(os.Stderr, "usage: toolbox pause | sh -c COMMAND | serve PORT... | connect TIMEOUT HOST:PORT... | image TAG FILE PROGRAM NAME...")
		os.Exit(2)
	}
	if err := tool(arguments); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// pause holds a pod's namespaces until it is told to end.
func pause([]string) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	<-told
	return nil
}
