package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell runs `-c COMMAND` or a script with its arguments. The few commands there are work inside of this process: the
// image holds no other program.
func shell(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("give -c COMMAND or a script")
	}
	var text, name string
	var rest []string
	if arguments[0] == "-c" && len(arguments) > 1 {
		text, name, rest = arguments[1], "-c", arguments[2:]
	} else {
		script, err := os.ReadFile(arguments[0])
		if err != nil {
			return err
		}
		text, name, rest = string(script), arguments[0], arguments[1:]
	}
	program, err := syntax.NewParser().Parse(strings.NewReader(text), name)
	if err != nil {
		return err
	}
	parameters := append([]string{"--"}, rest...)
	runner, err := interp.New(
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.Params(parameters...),
		interp.ExecHandlers(commands),
	)
	if err != nil {
		return err
	}
	var status interp.ExitStatus
	if err := runner.Run(context.Background(), program); errors.As(err, &status) {
		os.Exit(int(status))
	} else if err != nil {
		return err
	}
	return nil
}

// commands are mkdir, rm and cat, as far as scripts here use them: options are -p, -r, -f and -m MODE.
func commands(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, words []string) error {
		handler := interp.HandlerCtx(ctx)
		paths := operands(words[1:])
		act := map[string]func(path string) error{
			"mkdir": makeDir,
			"rm":    os.RemoveAll,
			"cat":   func(path string) error { return copyTo(handler.Stdout, path) },
		}[words[0]]
		if act == nil {
			fmt.Fprintf(handler.Stderr, "%s: not found\n", words[0])
			return interp.ExitStatus(127)
		}
		for _, path := range paths {
			if err := act(path); err != nil {
				fmt.Fprintf(handler.Stderr, "%s: %v\n", words[0], err)
				return interp.ExitStatus(1)
			}
		}
		return nil
	}
}

// operands leaves out the options, and the value of -m.
func operands(words []string) []string {
	var paths []string
	for nth, word := range words {
		if strings.HasPrefix(word, "-") || nth > 0 && words[nth-1] == "-m" {
			continue
		}
		paths = append(paths, word)
	}
	return paths
}

// makeDir makes a folder that every user of the volume may write to.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// The umask is not for volumes.
	return os.Chmod(path, 0o777)
}

func copyTo(out io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}
