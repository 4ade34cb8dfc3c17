package main

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/kube"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// client is cyclonus' client without the five requests a second that a client has by default: a case asks for fifty.
func client() (*kube.Kubernetes, error) {
	slow, err := kube.NewKubernetesForContext("")
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(slow.RestConfig)
	config.QPS = -1
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &kube.Kubernetes{ClientSet: clients, RestConfig: config}, nil
}

// A marker tells when the enforcer has seen everything up to now: a policy of its own is changed last, and the enforcer, which
// takes all policies in hand at once and in their order, has seen what came before when that one holds. A time to wait
// would be too long on an idle machine, and on a busy one too short, so that old rules are taken for the new ones.
type marker struct {
	cluster kube.IKubernetes
	policy  *networkingv1.NetworkPolicy
	from    *probe.Pod
	to      *probe.Pod
	open    int
}

const markers = "markers"

func newMarker(cluster kube.IKubernetes) (*marker, error) {
	tcp := []v1.Protocol{v1.ProtocolTCP}
	resources, err := probe.NewDefaultResources(cluster, []string{markers}, []string{"from", "to"}, ports, tcp, nil, 120, true, "")
	if err != nil {
		return nil, err
	}
	m := &marker{cluster: cluster, from: resources.Pods[0], to: resources.Pods[1]}
	m.policy = &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: markers, Name: "one-port"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: m.to.Labels},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{m.rule()},
		},
	}
	if _, err := cluster.CreateNetworkPolicy(m.policy); err != nil {
		return nil, err
	}
	// Until the first policy holds, every port is open.
	return m, m.await("closed", ports[1])
}

// rule lets in by the one port that is open now.
func (m *marker) rule() networkingv1.NetworkPolicyIngressRule {
	port := intstr.FromInt(ports[m.open])
	return networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}
}

// seen opens the other port, and returns when it is.
func (m *marker) seen() error {
	m.open = 1 - m.open
	m.policy.Spec.Ingress[0] = m.rule()
	if _, err := m.cluster.UpdateNetworkPolicy(m.policy); err != nil {
		return err
	}
	return m.await("open", ports[m.open])
}

func (m *marker) await(state string, port int) error {
	address := net.JoinHostPort(m.to.IP, strconv.Itoa(port))
	command := []string{"/agnhost", "await", state, address}
	said, _, failed, err := m.cluster.ExecuteRemoteCommand(markers, m.from.Name, m.from.Containers[0].Name, command)
	if err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("the enforcer does not do what the marker's policy says: %w: %s", failed, said)
	}
	return nil
}

// settling is a cluster in which nothing is tried before the enforcer has seen all changes.
type settling struct {
	kube.IKubernetes
	marker *marker

	lock    sync.Mutex
	changed bool
}

func (s *settling) change() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.changed = true
}

// ExecuteRemoteCommand is how pods try.
func (s *settling) ExecuteRemoteCommand(namespace, pod, container string, command []string) (string, string, error, error) {
	if err := s.settled(); err != nil {
		return "", "", nil, err
	}
	return s.IKubernetes.ExecuteRemoteCommand(namespace, pod, container, command)
}

func (s *settling) settled() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.changed {
		return nil
	}
	if err := s.marker.seen(); err != nil {
		return err
	}
	s.changed = false
	return nil
}

func (s *settling) CreateNetworkPolicy(policy *networkingv1.NetworkPolicy) (*networkingv1.NetworkPolicy, error) {
	defer s.change()
	return s.IKubernetes.CreateNetworkPolicy(policy)
}

func (s *settling) UpdateNetworkPolicy(policy *networkingv1.NetworkPolicy) (*networkingv1.NetworkPolicy, error) {
	defer s.change()
	return s.IKubernetes.UpdateNetworkPolicy(policy)
}

func (s *settling) DeleteNetworkPolicy(namespace, name string) error {
	defer s.change()
	return s.IKubernetes.DeleteNetworkPolicy(namespace, name)
}

func (s *settling) DeleteAllNetworkPoliciesInNamespace(namespace string) error {
	defer s.change()
	return s.IKubernetes.DeleteAllNetworkPoliciesInNamespace(namespace)
}

func (s *settling) SetNamespaceLabels(namespace string, labels map[string]string) (*v1.Namespace, error) {
	defer s.change()
	return s.IKubernetes.SetNamespaceLabels(namespace, labels)
}

func (s *settling) SetPodLabels(namespace, pod string, labels map[string]string) (*v1.Pod, error) {
	defer s.change()
	return s.IKubernetes.SetPodLabels(namespace, pod, labels)
}

func (s *settling) CreatePod(pod *v1.Pod) (*v1.Pod, error) {
	defer s.change()
	return s.IKubernetes.CreatePod(pod)
}

func (s *settling) DeletePod(namespace, pod string) error {
	defer s.change()
	return s.IKubernetes.DeletePod(namespace, pod)
}

func (s *settling) DeleteNamespace(namespace string) error {
	defer s.change()
	return s.IKubernetes.DeleteNamespace(namespace)
}
