package main

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	networking "k8s.io/client-go/kubernetes/typed/networking/v1"
)

// client shows kube-router policies in a form that it enforces as they are meant: see blocks.go, halves.go and names.go.
type client struct{ kubernetes.Interface }

func (c client) NetworkingV1() networking.NetworkingV1Interface {
	return kinds{c.Interface.NetworkingV1()}
}

type kinds struct {
	networking.NetworkingV1Interface
}

func (k kinds) NetworkPolicies(namespace string) networking.NetworkPolicyInterface {
	return policies{k.NetworkingV1Interface.NetworkPolicies(namespace)}
}

type policies struct {
	networking.NetworkPolicyInterface
}

func (p policies) List(ctx context.Context, options metav1.ListOptions) (*networkingv1.NetworkPolicyList, error) {
	list, err := p.NetworkPolicyInterface.List(ctx, options)
	if err != nil {
		return nil, err
	}
	whole := list.Items
	list.Items = nil
	for at := range whole {
		there, _ := halves(numbered(apart(&whole[at])))
		for _, half := range there {
			list.Items = append(list.Items, *half)
		}
	}
	return list, nil
}

func (p policies) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	events, err := p.NetworkPolicyInterface.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	shown := make(chan watch.Event)
	watcher := watch.NewProxyWatcher(shown)
	go func() {
		defer close(shown)
		defer events.Stop()
		show(events.ResultChan(), shown, watcher.StopChan())
	}()
	return watcher, nil
}

// show hands events on until there are no more, or nobody wants them.
func show(events <-chan watch.Event, shown chan<- watch.Event, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case event, more := <-events:
			if !more {
				return
			}
			for _, half := range inHalves(event) {
				select {
				case <-stop:
					return
				case shown <- half:
				}
			}
		}
	}
}

// inHalves are the events of both halves of a policy. What is not about a policy stays as it is.
func inHalves(event watch.Event) []watch.Event {
	policy, is := event.Object.(*networkingv1.NetworkPolicy)
	if !is || event.Type == watch.Bookmark {
		return []watch.Event{event}
	}
	var events []watch.Event
	there, absent := halves(numbered(apart(policy)))
	for _, half := range there {
		events = append(events, watch.Event{Type: event.Type, Object: half})
	}
	for _, half := range absent {
		events = append(events, watch.Event{Type: watch.Deleted, Object: half})
	}
	return events
}
