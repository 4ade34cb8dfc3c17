// Command plinth-paths says which TCP and UDP ports NetworkPolicies leave open between pods. The answer is cyclonus',
// whose matcher was written to test the network plug-ins of Kubernetes; nothing of it knows Plinth.
//
// It reads one problem from standard input and writes one answer to standard output. Every pod of the answer is one row:
// a letter for each port of each pod, in the order of the problem.
//
//	0  neither side lets it pass      1  only the source's policies do
//	2  only the target's policies do  3  both do: the path is open
//
// A pod against itself stands for two replicas of one template: nothing can keep a pod from its own ports.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type problem struct {
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	Pods     []pod                         `json:"pods"`
}

// pod is one pod, or an address outside the cluster when it has no namespace.
type pod struct {
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
	IP              string            `json:"ip"`
	Ports           []port            `json:"ports"`
}

type port struct {
	Port     int         `json:"port"`
	Name     string      `json:"name"`
	Protocol v1.Protocol `json:"protocol"`
}

type answer struct {
	Rows []string `json:"rows"`
}

// side is one pod with the policies that select it.
type side struct {
	peer   *matcher.TrafficPeer
	policy *matcher.Policy
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plinth-paths:", err)
		os.Exit(1)
	}
}

func run() error {
	var asked problem
	decoder := json.NewDecoder(os.Stdin)
	// A field that the API server would drop must not look like a policy.
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return err
	}
	if err := asked.check(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer{Rows: asked.rows()})
}

// check refuses what cyclonus reads in another way than Kubernetes does, or panics at.
func (p *problem) check() error {
	for _, policy := range p.Policies {
		if len(policy.Spec.PolicyTypes) == 0 {
			return fmt.Errorf("%s/%s: policyTypes is empty", policy.Namespace, policy.Name)
		}
		if policy.Namespace == "" {
			return fmt.Errorf("%s: has no namespace", policy.Name)
		}
		for _, selector := range selectors(policy) {
			if err := plain(selector); err != nil {
				return fmt.Errorf("%s/%s: %w", policy.Namespace, policy.Name, err)
			}
		}
	}
	for _, pod := range p.Pods {
		if _, err := netip.ParseAddr(pod.IP); err != nil {
			return fmt.Errorf("%s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

// selectors are all label selectors of a policy.
func selectors(policy *networkingv1.NetworkPolicy) []*metav1.LabelSelector {
	var peers []networkingv1.NetworkPolicyPeer
	for _, rule := range policy.Spec.Ingress {
		peers = append(peers, rule.From...)
	}
	for _, rule := range policy.Spec.Egress {
		peers = append(peers, rule.To...)
	}
	found := []*metav1.LabelSelector{&policy.Spec.PodSelector}
	for _, peer := range peers {
		for _, selector := range []*metav1.LabelSelector{peer.PodSelector, peer.NamespaceSelector} {
			if selector != nil {
				found = append(found, selector)
			}
		}
	}
	return found
}

func plain(selector *metav1.LabelSelector) error {
	for key, value := range selector.MatchLabels {
		if value == "" {
			return fmt.Errorf("label %s: cyclonus takes an empty value for a missing label", key)
		}
	}
	for _, expression := range selector.MatchExpressions {
		if expression.Operator == metav1.LabelSelectorOpNotIn {
			return errors.New("NotIn: cyclonus does not match a pod without the label, Kubernetes does")
		}
	}
	return nil
}

// rows evaluates every ordered pair. Each pod meets only the policies that select it: looking these up for each pair is
// what makes cyclonus' own way too slow here.
func (p *problem) rows() []string {
	// Not simplified: simplifying merges rules, and its subtraction of ports is marked as incomplete.
	all := matcher.BuildNetworkPolicies(false, p.Policies)
	sides := make([]side, len(p.Pods))
	for i := range p.Pods {
		sides[i] = p.Pods[i].side(all)
	}
	rows := make([]string, len(p.Pods))
	var running sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range sides {
		free <- struct{}{}
		running.Go(func() {
			rows[i] = p.row(sides, i)
			<-free
		})
	}
	running.Wait()
	return rows
}

func (p *pod) side(all *matcher.Policy) side {
	peer := &matcher.TrafficPeer{IP: p.IP}
	if p.Namespace == "" {
		return side{peer: peer, policy: matcher.NewPolicy()}
	}
	peer.Internal = &matcher.InternalPeer{
		PodLabels:       p.Labels,
		NamespaceLabels: p.NamespaceLabels,
		Namespace:       p.Namespace,
	}
	return side{peer: peer, policy: matcher.NewPolicyWithTargets(
		all.TargetsApplyingToPod(true, p.Namespace, p.Labels),
		all.TargetsApplyingToPod(false, p.Namespace, p.Labels),
	)}
}

// row is everything that leaves one pod.
func (p *problem) row(sides []side, from int) string {
	var row []byte
	for to := range sides {
		for _, port := range p.Pods[to].Ports {
			traffic := &matcher.Traffic{
				Source:           sides[from].peer,
				Destination:      sides[to].peer,
				ResolvedPort:     port.Port,
				ResolvedPortName: port.Name,
				Protocol:         port.Protocol,
			}
			verdict := byte('0')
			if sides[from].policy.IsIngressOrEgressAllowed(traffic, false).IsAllowed() {
				verdict++
			}
			if sides[to].policy.IsIngressOrEgressAllowed(traffic, true).IsAllowed() {
				verdict += 2
			}
			row = append(row, verdict)
		}
	}
	return string(row)
}
