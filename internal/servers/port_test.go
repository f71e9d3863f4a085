package servers_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/servers"
)

// Another process of this test binary prints the ports it is given.
func TestPortsOfTwoProcessesDiffer(t *testing.T) {
	const n = 50
	given := make(map[int]bool)
	for range n {
		given[servers.FreePort(t)] = true
	}
	if len(given) != n {
		t.Errorf("%d ports are %d different ones", n, len(given))
	}
	if os.Getenv("SLUICE_PRINT_PORTS") != "" {
		for port := range given {
			fmt.Println("port", port)
		}
		return
	}
	other := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	other.Env = append(os.Environ(), "SLUICE_PRINT_PORTS=1")
	out, err := other.Output()
	if err != nil {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	printed := 0
	for line := range strings.Lines(string(out)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "port ")
		if !ok {
			continue
		}
		port, _ := strconv.Atoi(text)
		printed++
		if given[port] {
			t.Errorf("two processes were given port %d", port)
		}
	}
	if printed != n {
		t.Errorf("the other process printed %d ports, wanted %d:\n%s", printed, n, out)
	}
}

func TestPortInUseIsNotGiven(t *testing.T) {
	next := servers.FreePort(t) + 1
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.12:%d", next))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if got := servers.FreePort(t); got == next {
		t.Errorf("port %d was given while somebody listens on it", got)
	}
}
