package servers

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisCluster is a running Redis Cluster of masters without replicas.
type RedisCluster struct {
	Nodes []*RedisServer // in the order of the slots they were given
	Addrs []string
	tb    TB
}

// slots is the number of hash slots of every cluster.
const slots = 16384

// StartRedisCluster starts a cluster of n masters, each as durable as Redis starts one, that
// share the slots evenly, and waits until all of them know that the cluster is whole. A slot
// of a node that is down is refused, the others are served. Further arguments go to every node.
func StartRedisCluster(tb TB, n int, args ...string) *RedisCluster {
	tb.Helper()
	c := &RedisCluster{tb: tb}
	for i := range n {
		bus := strconv.Itoa(FreePort(tb)) // the default, the port + 10000, may be taken, or be none
		node := Redis(tb, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-port", bus}, args...)...)
		c.Nodes, c.Addrs = append(c.Nodes, node), append(c.Addrs, node.Addr)
		c.on(i, "CLUSTER", "ADDSLOTSRANGE", slots*i/n, slots*(i+1)/n-1)
		c.on(i, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			host, port, _ := net.SplitHostPort(node.Addr)
			c.on(0, "CLUSTER", "MEET", host, port, bus)
		}
	}
	c.Await()
	return c
}

// on runs a command on node i.
func (c *RedisCluster) on(i int, args ...any) any {
	c.tb.Helper()
	v, err := c.try(i, args...)
	if err != nil {
		c.tb.Fatalf("servers: %v on cluster node %s: %v", args, c.Addrs[i], err)
	}
	return v
}

func (c *RedisCluster) try(i int, args ...any) (any, error) {
	rdb := redis.NewClient(&redis.Options{Addr: c.Addrs[i], MaxRetries: -1})
	defer rdb.Close()
	return rdb.Do(context.Background(), args...).Result()
}

// Await waits until every node says that all slots are served, and all of them the same of each
// other: after the start, after a slot was moved, and after a node was killed and started again.
func (c *RedisCluster) Await() {
	c.tb.Helper()
	var view string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		views := make(map[string]bool)
		for i := range c.Nodes {
			view = c.view(i)
			views[view] = true
		}
		if len(views) == 1 && strings.Count(view, "\n") == len(c.Nodes) {
			return
		}
	}
	c.tb.Fatalf("servers: the cluster did not form; the last node says:\n%s", view)
}

// view is what node i, serving all slots, says of all nodes: a line of id, config epoch and slots
// for each; else it is what is wrong. Epochs count: a node that is to own a slot takes the highest
// one it knows, and one that is behind loses the slot, with its keys, to the next message of a
// former owner.
func (c *RedisCluster) view(i int) string {
	info, err := c.try(i, "CLUSTER", "INFO")
	if err != nil { // one that was started again is loading
		return err.Error()
	}
	if s := info.(string); !strings.Contains(s, "cluster_state:ok") || !strings.Contains(s, "cluster_slots_ok:16384") {
		return s
	}
	nodes, err := c.try(i, "CLUSTER", "NODES")
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(nodes.(string)) {
		const id, epoch, firstSlots = 0, 6, 8
		if f := strings.Fields(line); len(f) >= firstSlots {
			lines = append(lines, f[id]+" "+f[epoch]+" "+strings.Join(f[firstSlots:], " ")+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Owner is the node that holds key now.
func (c *RedisCluster) Owner(key string) *RedisServer {
	c.tb.Helper()
	slot := c.on(0, "CLUSTER", "KEYSLOT", key).(int64)
	for _, r := range c.on(0, "CLUSTER", "SLOTS").([]any) {
		row := r.([]any)
		if slot < row[0].(int64) || slot > row[1].(int64) {
			continue
		}
		at := row[2].([]any)
		if i := slices.Index(c.Addrs, net.JoinHostPort(at[0].(string), strconv.FormatInt(at[1].(int64), 10))); i >= 0 {
			return c.Nodes[i]
		}
	}
	c.tb.Fatalf("servers: no node holds slot %d of %q", slot, key)
	return nil
}

// Move hands the slot of key, with all its keys, to another node, as resharding does.
func (c *RedisCluster) Move(key string, to *RedisServer) {
	c.tb.Helper()
	from := c.Owner(key)
	if from == to {
		return
	}
	src, dst := slices.Index(c.Nodes, from), slices.Index(c.Nodes, to)
	slot := c.on(0, "CLUSTER", "KEYSLOT", key)
	srcID, dstID := c.on(src, "CLUSTER", "MYID"), c.on(dst, "CLUSTER", "MYID")
	c.on(dst, "CLUSTER", "SETSLOT", slot, "IMPORTING", srcID)
	c.on(src, "CLUSTER", "SETSLOT", slot, "MIGRATING", dstID)
	host, port, _ := net.SplitHostPort(to.Addr)
	for {
		keys, _ := c.on(src, "CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
		if len(keys) == 0 {
			break
		}
		c.on(src, append([]any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	c.on(dst, "CLUSTER", "SETSLOT", slot, "NODE", dstID) // first of all, so that the slot is never nobody's
	for i := range c.Nodes {
		c.on(i, "CLUSTER", "SETSLOT", slot, "NODE", dstID)
	}
	c.Await()
}
