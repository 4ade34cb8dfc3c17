package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/mattfenwick/cyclonus/pkg/connectivity"
	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
)

// Outcome is what came of one case.
type Outcome struct {
	Case        int      `json:"case"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Verdict     Verdict  `json:"verdict"`
	// How many paths were compared, over all steps: from one pod to another by one port and protocol.
	Paths int `json:"paths"`
}

// Verdict of a case.
type Verdict string

const (
	passed Verdict = "passed"
	failed Verdict = "FAILED"
)

func (o Outcome) line() string {
	return fmt.Sprintf("case %d %s: %s [%s]", o.Case, o.Verdict, o.Description, strings.Join(o.Tags, ", "))
}

// judge compares what pods found with what was expected, and prints policies and wrong paths of what failed.
func judge(nth int, result *connectivity.Result) Outcome {
	outcome := Outcome{Case: nth, Description: result.TestCase.Description, Tags: result.TestCase.Tags.Keys(), Verdict: passed}
	for at, step := range result.Steps {
		paths, wrong := compare(step)
		outcome.Paths += paths
		if len(wrong) == 0 {
			continue
		}
		outcome.Verdict = failed
		fmt.Printf("case %d, step %d, after %d tries:\n", nth, at+1, len(step.KubeProbes))
		for _, policy := range step.KubePolicies {
			fmt.Print(connectivity.PrintNetworkPolicy(policy))
		}
		for _, path := range wrong {
			fmt.Printf("  %s -> %s %s: expected %s, found %s\n", path.from, path.to, path.port, path.expected, path.found)
		}
	}
	return outcome
}

// path is one way from pod to pod that is not as it should be.
type path struct {
	from, to, port  string
	expected, found probe.Connectivity
}

// compare counts the paths of a step's last try, and names the wrong ones.
func compare(step *connectivity.StepResult) (paths int, wrong []path) {
	simulated, found := step.SimulatedProbe, step.LastKubeProbe()
	for _, key := range simulated.Wrapped.Keys() {
		if ignoreLoopback && key.From == key.To {
			continue
		}
		results := found.Get(key.From, key.To).JobResults
		for port, expected := range simulated.Get(key.From, key.To).JobResults {
			paths++
			if is := results[port].Combined; is != expected.Combined {
				wrong = append(wrong, path{key.From, key.To, port, expected.Combined, is})
			}
		}
	}
	slices.SortFunc(wrong, func(a, b path) int {
		return strings.Compare(a.from+a.to+a.port, b.from+b.to+b.port)
	})
	return paths, wrong
}

// Report is what came of all.
type Report struct {
	Commit  string `json:"commit"`
	Seconds int    `json:"seconds"`
	// What the generator makes, and of these what was tried now or, where it passed, in a run before that broke off.
	Cases    int                         `json:"cases"`
	Tried    int                         `json:"tried"`
	Passed   int                         `json:"passed"`
	Paths    int                         `json:"paths"`
	Failed   []string                    `json:"failed,omitempty"`
	NotTried map[string]string           `json:"notTried"`
	Features map[string]map[string]Count `json:"features"`
}

// Count is how many cases with a feature passed.
type Count struct {
	Passed int `json:"passed"`
	Of     int `json:"of"`
}

func (r *Report) add(outcome Outcome) {
	r.Tried++
	r.Paths += outcome.Paths
	if outcome.Verdict == passed {
		r.Passed++
	} else {
		r.Failed = append(r.Failed, outcome.line())
	}
	if r.Features == nil {
		r.Features = map[string]map[string]Count{}
	}
	for _, tag := range outcome.Tags {
		kind, is := generator.TagSubToPrimary[tag]
		if !is {
			continue
		}
		if r.Features[kind] == nil {
			r.Features[kind] = map[string]Count{}
		}
		count := r.Features[kind][tag]
		count.Of++
		if outcome.Verdict == passed {
			count.Passed++
		}
		r.Features[kind][tag] = count
	}
}

// table is a line for each feature, and one for what was not tried.
func (r *Report) table() string {
	lines := []string{"| kind | feature | passed | of |", "| --- | --- | --- | --- |"}
	for _, kind := range sorted(r.Features) {
		for _, feature := range sorted(r.Features[kind]) {
			count := r.Features[kind][feature]
			lines = append(lines, fmt.Sprintf("| %s | %s | %d | %d |", kind, feature, count.Passed, count.Of))
		}
	}
	for _, what := range sorted(r.NotTried) {
		lines = append(lines, fmt.Sprintf("not tried: %s: %s", what, r.NotTried[what]))
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r *Report) line() string {
	return fmt.Sprintf("cases of %d: %d tried, %d paths, %d passed, %d failed", r.Cases, r.Tried, r.Paths, r.Passed, len(r.Failed))
}

func (r *Report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// notTried are features that no case here says anything about, each with its reason.
func notTried() map[string]string {
	reasons := map[string]string{
		"paths by SCTP": "agnhost of this check has no server of it; policies that name it are set, and tried by TCP and UDP",
		"IPv6":          "cyclonus makes no case of it, and the node's network is IPv4",
	}
	const sctp = 132
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, sctp)
	if err != nil {
		reasons["paths by SCTP"] = fmt.Sprintf("the kernel has no SCTP (%v); policies that name it are set, and tried by TCP and UDP", err)
	} else {
		syscall.Close(socket)
	}
	return reasons
}
