package main

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// numbered is a policy with a numbered port in every rule that has names of ports alone.
//
// kube-router 2.1.0 leaves out names that no selected pod has, and takes a rule of which nothing is left for a rule about every
// port. With a number it is about that one: port 0, by which nobody listens.
func numbered(policy *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	policy = policy.DeepCopy()
	for at := range policy.Spec.Ingress {
		rule := &policy.Spec.Ingress[at]
		rule.Ports = withNumber(rule.Ports)
	}
	for at := range policy.Spec.Egress {
		rule := &policy.Spec.Egress[at]
		rule.Ports = withNumber(rule.Ports)
	}
	return policy
}

func withNumber(ports []networkingv1.NetworkPolicyPort) []networkingv1.NetworkPolicyPort {
	if len(ports) == 0 {
		return ports
	}
	for _, port := range ports {
		if port.Port == nil || port.Port.Type == intstr.Int {
			return ports
		}
	}
	nobody := intstr.FromInt32(0)
	return append(ports, networkingv1.NetworkPolicyPort{Protocol: ports[0].Protocol, Port: &nobody})
}
