package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// agnhost is what cyclonus uses of the image of that name: `serve-hostname` listens on one port, `connect` tries one. `await`
// is the marker's.
func agnhost(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("agnhost serve-hostname | connect | await")
	}
	switch arguments[0] {
	case "serve-hostname":
		return serveHostname(arguments[1:])
	case "connect":
		return connect(arguments[1:])
	case "await":
		return await(arguments[1:])
	}
	return fmt.Errorf("agnhost %s: not known", arguments[0])
}

func serveHostname(arguments []string) error {
	flags := flag.NewFlagSet("serve-hostname", flag.ContinueOnError)
	udp := flags.Bool("udp", false, "")
	flags.Bool("tcp", false, "")
	flags.Bool("http", false, "")
	port := flags.Int("port", 0, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	if *udp {
		return serveUDP(*port, name)
	}
	return serveTCP(*port, name)
}

func serveTCP(port int, name string) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			fmt.Fprintln(connection, name)
		}()
	}
}

func serveUDP(port int, name string) error {
	socket, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for {
		_, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo([]byte(name), from); err != nil {
			return err
		}
	}
}

// connect succeeds when the other side answers.
func connect(arguments []string) error {
	address, limit, protocol := "", time.Second, "tcp"
	for _, argument := range arguments {
		name, value, isFlag := strings.Cut(argument, "=")
		var err error
		switch {
		case name == "--timeout":
			limit, err = time.ParseDuration(value)
		case name == "--protocol":
			protocol = value
		case isFlag || strings.HasPrefix(argument, "-"):
			err = fmt.Errorf("agnhost connect %s: not known", argument)
		default:
			address = argument
		}
		if err != nil {
			return err
		}
	}
	address, err := resolve(address)
	if err != nil {
		return err
	}
	connection, err := net.DialTimeout(protocol, address, limit)
	if err != nil {
		return err
	}
	defer connection.Close()
	if protocol == "tcp" {
		return nil
	}
	if err := connection.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := connection.Write([]byte("name?")); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1500))
	return err
}

// await tries an address until it is open, or closed.
func await(arguments []string) error {
	if len(arguments) != 2 || !slices.Contains([]string{"open", "closed"}, arguments[0]) {
		return errors.New("agnhost await open|closed ADDRESS")
	}
	state, address := arguments[0], arguments[1]
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err == nil {
			connection.Close()
		}
		if (err == nil) == (state == "open") {
			return nil
		}
	}
	return fmt.Errorf("%s is not %s after a minute", address, state)
}

// resolve looks the host up before the time begins to run: it is for the path, not for the name server.
func resolve(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if net.ParseIP(host) == nil {
		// The name is whole: without the dot, it is tried in every domain of the search list first.
		host += "."
	}
	found, err := net.LookupHost(host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(found[0], port), nil
}
