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
	"slices"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/connectivity"
	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/kube"
	v1 "k8s.io/api/core/v1"
)

var (
	namespaces = []string{"x", "y", "z"}
	pods       = []string{"a", "b", "c"}
	ports      = []int{80, 81}
	protocols  = []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP}
)

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

// check runs the cases and prints a line for each, and the whole table of one that failed.
func check() error {
	every := flag.Int("every", 1, "run one of so many cases")
	settle := flag.Int("settle", 1, "seconds that the enforcer has before each try")
	flag.Parse()
	cluster, err := kube.NewKubernetesForContext("")
	if err != nil {
		return err
	}
	resources, err := probe.NewDefaultResources(cluster, namespaces, pods, ports, protocols, nil, 120, true, "")
	if err != nil {
		return err
	}
	target, err := resources.GetPod("z", "c")
	if err != nil {
		return err
	}
	cases := generator.NewTestCaseGenerator(true, target.IP, namespaces, nil, nil).GenerateTestCases()
	// What a pod says to itself by its Service comes back with the node's address, which is let in always.
	const ignoreLoopback = true
	interpreter := connectivity.NewInterpreter(cluster, resources, &connectivity.InterpreterConfig{
		ResetClusterBeforeTestCase:       true,
		KubeProbeRetries:                 3,
		PerturbationWaitSeconds:          *settle,
		VerifyClusterStateBeforeTestCase: true,
		BatchJobs:                        true,
		IgnoreLoopback:                   ignoreLoopback,
		JobTimeoutSeconds:                1,
	})
	failed, deviating, tries := 0, 0, 0
	for nth := 0; nth < len(cases); nth += *every {
		result := interpreter.ExecuteTestCase(cases[nth])
		if result.Err != nil {
			return fmt.Errorf("case %d (%s): %w", nth+1, cases[nth].Description, result.Err)
		}
		tags := cases[nth].Tags.Keys()
		verdict := "ok"
		switch passed := result.Passed(ignoreLoopback); {
		case !passed && deviates(tags):
			verdict = "deviates"
			deviating++
		case !passed:
			verdict = "FAILED"
			failed++
			(&connectivity.Printer{Noisy: true, IgnoreLoopback: ignoreLoopback}).PrintTestCaseResult(result)
		}
		tries++
		fmt.Printf("case %d %s: %s [%s]\n", nth+1, verdict, cases[nth].Description, strings.Join(tags, ", "))
	}
	fmt.Printf("cases of %d: %d tried, %d deviate as known, %d failed\n", len(cases), tries, deviating, failed)
	if failed > 0 {
		return fmt.Errorf("%d cases failed", failed)
	}
	return nil
}

// deviates says where the enforcer is known to decide otherwise: kube-router 2.1.0 takes a rule whose only port is a name
// that no pod has for a rule about every port. The pods here have no port of SCTP, so its names are such.
func deviates(tags []string) bool {
	return slices.Contains(tags, generator.TagNamedPort) && slices.Contains(tags, generator.TagSCTPProtocol)
}
