package servers

import (
	"fmt"
	"net"
	"sync"
)

// Ports that servers are told to listen on lie below those that the kernel
// gives to clients, so that no connection sits on one before its server does.
// Each process hands out those of a block of its own.
const (
	firstPort = 10000
	lastPort  = 32767
	portBlock = 200
)

var ports struct {
	sync.Mutex
	claim net.Listener // holds the block as long as the process lives
	first int
	next  int
}

// Port returns a port that nobody listens on, on any address, and that no other
// process that asks here is given. It comes back once every port of the block was given.
func Port() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.claim == nil {
		if err := claimPorts(); err != nil {
			return 0, err
		}
	}
	for range portBlock {
		port := ports.first + ports.next%portBlock
		ports.next++
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		return port, nil
	}
	return 0, fmt.Errorf("servers: all ports from %d to %d are in use", ports.first, ports.first+portBlock-1)
}

// claimPorts takes a block: the name of a socket that ends with the process stands for it.
func claimPorts() error {
	for first := firstPort; first+portBlock-1 <= lastPort; first += portBlock {
		claim, err := net.Listen("unix", fmt.Sprintf("@sluice-ports-%d", first))
		if err == nil {
			ports.claim, ports.first = claim, first
			return nil
		}
	}
	return fmt.Errorf("servers: other processes have claimed all ports from %d to %d", firstPort, lastPort)
}
