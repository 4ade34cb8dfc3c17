package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

// nodeDevice is the node's end of the cable.
const nodeDevice = "eth0"

// plugIn connects the host with the node, and leads the addresses of pods and Services there.
func plugIn(spec *Spec, pid int) error {
	cable := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: spec.Device},
		PeerName:      nodeDevice,
		PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("making the network device %s: %w", spec.Device, err)
	}
	link, err := configure(spec.Device, spec.HostAddress)
	if err != nil {
		return err
	}
	node, _, err := net.ParseCIDR(spec.NodeAddress)
	if err != nil {
		return err
	}
	for _, destination := range spec.Ranges {
		_, network, err := net.ParseCIDR(destination)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, Gw: node}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("leading %s to the node: %w", destination, err)
		}
	}
	return nil
}

// configure gives a device its address and switches it on.
func configure(device, address string) (netlink.Link, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("network device %s: %w", device, err)
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, parsed); err != nil {
		return nil, fmt.Errorf("giving %s to %s: %w", address, device, err)
	}
	return link, netlink.LinkSetUp(link)
}

// unplug removes the cable, if there is one. The kernel removes it too, some time after the node's last process ended:
// then it is found here and gone a moment later.
func unplug(device string) error {
	link, err := netlink.LinkByName(device)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the network device %s: %w", device, err)
	}
	return nil
}

// forwardAPI lets the node and its pods reach the API server, which listens on the host's loopback interface alone.
func forwardAPI(spec *Spec) error {
	host, _, err := net.ParseCIDR(spec.HostAddress)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host.String(), fmt.Sprint(spec.APIPort)))
	if err != nil {
		return fmt.Errorf("forwarding to the API server: %w", err)
	}
	server := fmt.Sprintf("127.0.0.1:%d", spec.APIPort)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				fmt.Fprintln(os.Stderr, "plinth-node: forwarding to the API server:", err)
				return
			}
			go forward(client, server)
		}
	}()
	return nil
}

// forward copies both ways until either side has said everything.
func forward(client net.Conn, server string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		// The API server is being restarted: the client sees a closed connection and tries again.
		return
	}
	defer upstream.Close()
	done := make(chan struct{}, 2)
	relay := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go relay(upstream, client)
	go relay(client, upstream)
	<-done
}

// joinNetwork is the node's side of plugIn.
func joinNetwork(spec *Spec) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := configure(nodeDevice, spec.NodeAddress)
	if err != nil {
		return err
	}
	host, _, err := net.ParseCIDR(spec.HostAddress)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: host}); err != nil {
		return fmt.Errorf("the way out of the node: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}
