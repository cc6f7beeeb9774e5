package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"rbdctl/internal/fault"
)

// portSpan is how far below the range of outgoing connections the monitor's
// ports are sought.
const portSpan = 12000

// freePorts finds two free loopback ports for the monitor. They lie below
// net.ipv4.ip_local_port_range: a port in that range may be somebody's outgoing
// connection by the time that a stopped monitor starts again. OSDs and the
// manager find theirs themselves, from Ceph's own range 6800 to 7300, by binding.
func freePorts() ([2]int, error) {
	top := 32768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(text), &top)
	}
	low, high := max(7400, top-portSpan), top
	if high-low < 100 { // nothing useful is left below the range
		low, high = 7400, 65536
	}
	// The start is random: two labs that begin at once seldom try the same ones.
	// If they do, one monitor fails to bind and Up moves it.
	for range 1000 {
		port := low + rand.IntN(high-low-1)
		ports := [2]int{port, port + 1}
		if portsFree(ports) {
			return ports, nil
		}
	}
	return [2]int{}, fault.Newf(fault.ErrUnavailable, "no two free ports on 127.0.0.1 between %d and %d", low, high)
}

// portsBecomeFree is portsFree, and waits a moment for a process that was killed: it
// loses its environment, by which we know it, before its sockets.
func portsBecomeFree(ctx context.Context, ports [2]int) (bool, error) {
	const moment = 20 * time.Second
	for deadline := time.Now().Add(moment); !portsFree(ports); {
		if time.Now().After(deadline) {
			return false, nil
		}
		if err := pause(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// portsFree probes by binding, as the monitor will.
func portsFree(ports [2]int) bool {
	for _, port := range ports {
		ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		_ = ln.Close()
	}
	return true
}
