package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// unhealthy is a file that makes /health fail while it exists.
const unhealthy = "/tmp/unhealthy"

// serve answers on each port with the pod's name, and at /health with how it is.
func serve(ports []string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	if len(ports) == 0 {
		return errors.New("give at least one port")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(answer http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(unhealthy); err == nil {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, name)
	})
	failed := make(chan error, len(ports))
	for _, port := range ports {
		go func() { failed <- http.ListenAndServe(":"+port, mux) }()
	}
	fmt.Println("serving", ports)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	select {
	case err := <-failed:
		return err
	case <-told:
		return nil
	}
}

// connect tries all targets at once and prints an object: for each target the empty string, or why there is no
// connection.
func connect(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("give a time limit and at least one HOST:PORT")
	}
	limit, err := time.ParseDuration(arguments[0])
	if err != nil {
		return err
	}
	targets := arguments[1:]
	answers := make([]string, len(targets))
	var tries sync.WaitGroup
	for nth, target := range targets {
		tries.Go(func() {
			connection, err := net.DialTimeout("tcp", target, limit)
			if err != nil {
				answers[nth] = err.Error()
				return
			}
			_ = connection.Close()
		})
	}
	tries.Wait()
	found := map[string]string{}
	for nth, target := range targets {
		found[target] = answers[nth]
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
