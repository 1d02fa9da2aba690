package kudu

import (
	"net"
	"os"
	"sync"
)

// localHosts are the addresses and the name of this machine.
var localHosts = sync.OnceValue(func() map[string]bool {
	hosts := map[string]bool{"localhost": true}
	if name, err := os.Hostname(); err == nil {
		hosts[name] = true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return hosts // then no replica counts as local
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			hosts[n.IP.String()] = true
		}
	}
	return hosts
})

// distance tells how far a replica is: 0 on this machine, 1 at this client's
// location, 2 elsewhere.
func (c *Client) distance(r *Replica) int {
	if host, _, err := net.SplitHostPort(r.Addr); err == nil && localHosts()[host] {
		return 0
	}
	c.masters.mu.Lock()
	here := c.masters.location
	c.masters.mu.Unlock()
	if here != "" && r.Location == here {
		return 1
	}
	return 2
}
