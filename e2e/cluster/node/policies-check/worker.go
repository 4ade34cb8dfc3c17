package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"sync"

	"github.com/mattfenwick/cyclonus/pkg/worker"
)

// work is cyclonus' worker: it is given all tries of one pod, makes them at once and prints what came of them, in their order. The
// original starts a process for each, ten at a time, which this program is too large for.
func work(arguments []string) error {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	jobs := flags.String("jobs", "", "a batch, as JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var batch worker.Batch
	if err := json.Unmarshal([]byte(*jobs), &batch); err != nil {
		return errors.Join(errors.New("--jobs"), err)
	}
	if err := batch.IsValid(); err != nil {
		return err
	}
	results := make([]worker.Result, len(batch.Requests))
	var tries sync.WaitGroup
	for nth, request := range batch.Requests {
		tries.Go(func() {
			results[nth].Request = request
			// The first two words are the program and `connect`.
			if err := connect(request.Command()[2:]); err != nil {
				results[nth].Error = err.Error()
			}
		})
	}
	tries.Wait()
	return json.NewEncoder(os.Stdout).Encode(results)
}
