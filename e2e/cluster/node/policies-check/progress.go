package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/mattfenwick/cyclonus/pkg/generator"
)

// progress keeps what came of cases, a line of JSON each, for a run that goes on where another broke off.
type progress struct {
	file  *os.File
	known map[int]Outcome
}

// openProgress reads what is there; nothing is kept where no file is named.
func openProgress(name string) (*progress, error) {
	kept := &progress{known: map[int]Outcome{}}
	if name == "" {
		return kept, nil
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	kept.file = file
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var outcome Outcome
		// A run that was killed leaves half a line.
		if json.Unmarshal(lines.Bytes(), &outcome) == nil {
			kept.known[outcome.Case] = outcome
		}
	}
	return kept, lines.Err()
}

// passed is what came of a case before, if that is as it should be and the case is still the same.
func (p *progress) passed(nth int, testCase *generator.TestCase) (Outcome, bool) {
	outcome, known := p.known[nth]
	same := outcome.Description == testCase.Description && slices.Equal(outcome.Tags, testCase.Tags.Keys())
	return outcome, known && same && outcome.Verdict == passed
}

func (p *progress) add(outcome Outcome) error {
	if p.file == nil {
		return nil
	}
	line, err := json.Marshal(outcome)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.file, "%s\n", line)
	return err
}

func (p *progress) close() {
	if p.file != nil {
		p.file.Close()
	}
}

func sorted[V any](of map[string]V) []string {
	return slices.Sorted(maps.Keys(of))
}
