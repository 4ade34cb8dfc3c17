// Command kube-router is kube-router as it is, which is shown policies in a form that it enforces as they are meant: see client.go. Of
// it, a node uses the enforcer of NetworkPolicies.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/cloudnativelabs/kube-router/v2/pkg/cmd"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "kube-router: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	klog.InitFlags(nil)
	config := options.NewKubeRouterConfig()
	config.AddFlags(pflag.CommandLine)
	pflag.Parse()
	// Its log goes to standard error, as detailed as its own flag says.
	for name, value := range map[string]string{"logtostderr": "true", "v": config.VLevel} {
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("flag %s: %w", name, err)
		}
	}
	router, err := cmd.NewKubeRouterDefault(config)
	if err != nil {
		return err
	}
	router.Client = client{router.Client}
	return router.Run()
}
