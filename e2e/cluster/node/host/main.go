// Command plinth-node is one Kubernetes node in namespaces of its own: processes, mounts, network, host name. Whatever
// runs on the node (containerd, kubelet, pods) sees a machine; the host sees one network device and one cgroup. Both bear
// the cluster's name, and everything else is gone with the last process.
//
// It is called by the crate plinth-cluster with a file that says what the node is made of.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// Spec says what a node is made of. The crate plinth-cluster writes it (src/node/spec.rs).
type Spec struct {
	// Hostname is the node's, to itself.
	Hostname string `json:"hostname"`
	// Device is the host's end of the cable.
	Device string `json:"device"`
	// Cgroup is below the root of every hierarchy; all pods are below it.
	Cgroup string `json:"cgroup"`
	// Root is where the host finds the node's file system while it runs: a symbolic link that is made here.
	Root string `json:"root"`
	// HostAddress and NodeAddress are the two ends of the cable, with the length of their prefix.
	HostAddress string `json:"hostAddress"`
	NodeAddress string `json:"nodeAddress"`
	// Ranges are what the host reaches through the cable: pods and Services.
	Ranges []string `json:"ranges"`
	// APIPort is the API server's on the host's loopback interface, and the same one at HostAddress.
	APIPort int `json:"apiPort"`
	// Mounts show folders of the host to the node, in this order.
	Mounts []Mount `json:"mounts"`
	// Processes are started in this order, and again whenever they end.
	Processes []Process `json:"processes"`
}

// Mount shows a folder of the host to the node.
type Mount struct {
	From     string `json:"from"`
	To       string `json:"to"`
	ReadOnly bool   `json:"readOnly"`
}

// Process is one that the node is never without.
type Process struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	// Log is a file of the node.
	Log string `json:"log"`
}

const usage = "usage: plinth-node run|sweep|inside SPEC"

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf(usage))
	}
	spec, err := read(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "run":
		err = run(spec, os.Args[2])
	case "sweep":
		err = sweep(spec)
	case "inside":
		err = inside(spec)
	default:
		err = fmt.Errorf(usage)
	}
	if err != nil {
		fail(err)
	}
}

func read(path string) (*Spec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var spec Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &spec, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "plinth-node:", err)
	os.Exit(1)
}
