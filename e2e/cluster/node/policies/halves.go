package main

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// halves are what a policy says of one direction each, those that it is about and those that it is not: what was about both may be
// about one after a change.
//
// kube-router 2.1.0 writes both directions of a policy into one chain, through which it leads what a pod sends and what it gets.
// Between two pods that the policy selects, a packet that may come in is let out too, whatever the other direction says.
func halves(policy *networkingv1.NetworkPolicy) (there, absent []*networkingv1.NetworkPolicy) {
	for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		half := policy.DeepCopy()
		// No object of the API server has such a name.
		half.Name += ":" + string(direction)
		half.Spec.PolicyTypes = []networkingv1.PolicyType{direction}
		if direction == networkingv1.PolicyTypeIngress {
			half.Spec.Egress = nil
		} else {
			half.Spec.Ingress = nil
		}
		if slices.Contains(policy.Spec.PolicyTypes, direction) {
			there = append(there, half)
		} else {
			absent = append(absent, half)
		}
	}
	return there, absent
}
