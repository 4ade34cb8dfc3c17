// Command policies-check holds a cluster's enforcement of NetworkPolicies against cyclonus: its generator makes cases, pods
// of the cluster try each other, and what they find is compared with what its matcher expects.
//
// The same program is in the image of those pods, where it listens and tries by the names that cyclonus calls.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/connectivity"
	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/sirupsen/logrus"
	v1 "k8s.io/api/core/v1"
)

var (
	namespaces = []string{"x", "y", "z"}
	pods       = []string{"a", "b", "c"}
	ports      = []int{80, 81}
	protocols  = []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP}
)

// What a pod says to itself by its Service comes back with the node's address, which is let in always.
const ignoreLoopback = true

func main() {
	switch filepath.Base(os.Args[0]) {
	case "worker":
		exit(work(os.Args[1:]))
	case "agnhost":
		exit(agnhost(os.Args[1:]))
	default:
		exit(check())
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

// check runs the cases and prints a line for each, policies and wrong paths of one that failed, and a table at the end.
func check() error {
	from := flag.Int("from", 1, "the first case to run")
	every := flag.Int("every", 1, "run one of so many cases")
	progress := flag.String("progress", "", "file that keeps what came of each case; what passed is not tried again")
	report := flag.String("report", "", "file for what came of all, as JSON")
	commit := flag.String("commit", "", "what the report says was tried")
	flag.Parse()
	logrus.SetLevel(logrus.ErrorLevel)

	begun := time.Now()
	kept, err := openProgress(*progress)
	if err != nil {
		return err
	}
	defer kept.close()
	cases, interpreter, err := prepare()
	if err != nil {
		return err
	}
	all := Report{Commit: *commit, Cases: len(cases)}
	for nth := *from - 1; nth < len(cases); nth += *every {
		outcome, known := kept.passed(nth+1, cases[nth])
		if !known {
			result := execute(interpreter, cases[nth])
			if result.Err != nil {
				return fmt.Errorf("case %d (%s): %w", nth+1, cases[nth].Description, result.Err)
			}
			outcome = judge(nth+1, result)
			if err := kept.add(outcome); err != nil {
				return err
			}
		}
		fmt.Println(outcome.line())
		all.add(outcome)
	}
	all.Seconds = int(time.Since(begun).Seconds())
	all.NotTried = notTried()
	fmt.Print(all.table())
	if err := all.write(*report); err != nil {
		return err
	}
	fmt.Println(all.line())
	if len(all.Failed) > 0 {
		return fmt.Errorf("%d cases failed", len(all.Failed))
	}
	return nil
}

// execute tries a case, and again where it could not be tried: an API server that has no processor answers late.
func execute(interpreter *connectivity.Interpreter, testCase *generator.TestCase) (result *connectivity.Result) {
	for range 3 {
		result = interpreter.ExecuteTestCase(testCase)
		if result.Err == nil {
			break
		}
		fmt.Printf("%s: tried again: %v\n", testCase.Description, result.Err)
	}
	return result
}

// prepare makes the pods, which all cases share, and the cases.
func prepare() ([]*generator.TestCase, *connectivity.Interpreter, error) {
	cluster, err := client()
	if err != nil {
		return nil, nil, err
	}
	marker, err := newMarker(cluster)
	if err != nil {
		return nil, nil, err
	}
	resources, err := probe.NewDefaultResources(cluster, namespaces, pods, ports, protocols, nil, 120, true, "")
	if err != nil {
		return nil, nil, err
	}
	target, err := resources.GetPod("z", "c")
	if err != nil {
		return nil, nil, err
	}
	interpreter := connectivity.NewInterpreter(&settling{IKubernetes: cluster, marker: marker}, resources,
		&connectivity.InterpreterConfig{
			ResetClusterBeforeTestCase:       true,
			KubeProbeRetries:                 3,
			VerifyClusterStateBeforeTestCase: true,
			BatchJobs:                        true,
			IgnoreLoopback:                   ignoreLoopback,
			JobTimeoutSeconds:                1,
		})
	return generator.NewTestCaseGenerator(true, target.IP, namespaces, nil, nil).GenerateTestCases(), interpreter, nil
}
