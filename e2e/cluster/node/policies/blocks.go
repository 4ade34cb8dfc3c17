package main

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// apart is a policy in which no rule has more than one block of addresses: of rules, as of the peers of one, it is enough that
// one allows.
//
// kube-router 2.1.0 puts all blocks of a rule into one set. What one of them excepts is taken out of the others too.
func apart(policy *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	policy = policy.DeepCopy()
	var ingress []networkingv1.NetworkPolicyIngressRule
	for _, rule := range policy.Spec.Ingress {
		for _, peers := range oneBlockEach(rule.From) {
			ingress = append(ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: rule.Ports})
		}
	}
	var egress []networkingv1.NetworkPolicyEgressRule
	for _, rule := range policy.Spec.Egress {
		for _, peers := range oneBlockEach(rule.To) {
			egress = append(egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: rule.Ports})
		}
	}
	policy.Spec.Ingress, policy.Spec.Egress = ingress, egress
	return policy
}

// oneBlockEach are the peers of a rule, in parts that have a block each; the first has all that are none.
func oneBlockEach(peers []networkingv1.NetworkPolicyPeer) [][]networkingv1.NetworkPolicyPeer {
	parts := [][]networkingv1.NetworkPolicyPeer{nil}
	hasBlock := false
	for _, peer := range peers {
		switch {
		case peer.IPBlock == nil:
			parts[0] = append(parts[0], peer)
		case !hasBlock:
			parts[0] = append(parts[0], peer)
			hasBlock = true
		default:
			parts = append(parts, []networkingv1.NetworkPolicyPeer{peer})
		}
	}
	return parts
}
