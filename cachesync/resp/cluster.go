package resp

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"sluice/cachesync/pipeline"
)

const slots = 16384

// slotMap says which node serves each hash slot.
type slotMap [slots]*pipeline.Node

// SlotOf is the hash slot of a key in a cluster.
func SlotOf(key string) int { return int(slotOf(key)) }

// slotOf is CRC16 (XMODEM) of the key's hash tag, if it has one, or of the key.
func slotOf(key string) uint16 {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if j := strings.IndexByte(key[i+1:], '}'); j > 0 {
			key = key[i+1 : i+1+j]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % slots
}

func (c *Client) route(ctx context.Context, cmd *Cmd) (*pipeline.Node, error) {
	if c.single != nil {
		return c.single, nil
	}
	m := c.slots.Load()
	if m == nil {
		var err error
		if m, err = c.discover(ctx); err != nil {
			return nil, err
		}
	}
	if cmd.slot >= 0 {
		if n := m[cmd.slot]; n != nil {
			return n, nil
		}
		c.refresh()
	}
	// Any node will do: it answers, or tells with MOVED who does.
	for _, n := range m {
		if n != nil && n.Up() {
			return n, nil
		}
	}
	return nil, &pipeline.Error{Node: c.cfg.Addrs[0], Cause: ErrNodeDown, Detail: fmt.Errorf("no node of the cluster is known to serve slot %d", cmd.slot)}
}

// refresh asks for the slots again, in the background and one at a time.
func (c *Client) refresh() {
	if !c.refreshing.CompareAndSwap(false, true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.wg.Go(func() {
		defer c.refreshing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
		defer cancel()
		c.discover(ctx)
	})
}

// discover asks the known nodes, then the configured ones, for CLUSTER SLOTS.
func (c *Client) discover(ctx context.Context) (*slotMap, error) {
	seen := map[*pipeline.Node]bool{}
	var ask []*pipeline.Node
	if m := c.slots.Load(); m != nil {
		for _, n := range m {
			if n != nil && !seen[n] {
				seen[n] = true
				ask = append(ask, n)
			}
		}
	}
	for _, a := range c.cfg.Addrs {
		if n := c.node(a); n != nil && !seen[n] {
			ask = append(ask, n)
		}
	}
	var last error = ErrClosed
	for _, n := range ask {
		var cmd Cmd
		k, err := c.start(ctx, n, cmd.Reset("CLUSTER").Arg("SLOTS"), false, true)
		if err == nil {
			err = c.finish(ctx, k, &cmd)
		}
		var m *slotMap
		if err == nil {
			m, err = c.parseSlots(n, cmd.Reply)
		}
		if err == nil {
			c.slots.Store(m)
			return m, nil
		}
		last = err
	}
	return nil, &pipeline.Error{Node: c.cfg.Addrs[0], Cause: ErrNodeDown, Detail: fmt.Errorf("CLUSTER SLOTS: %w", last)}
}

// parseSlots reads [[first, last, [ip, port, ...], replicas...], ...].
func (c *Client) parseSlots(from *pipeline.Node, v Value) (*slotMap, error) {
	if v.Kind != KindArray || len(v.Array) == 0 {
		return nil, fmt.Errorf("%w: the cluster serves no slots; has it been created?", pipeline.ErrProtocol)
	}
	host, _, _ := net.SplitHostPort(from.Addr())
	m := &slotMap{}
	for _, r := range v.Array {
		if len(r.Array) < 3 || len(r.Array[2].Array) < 2 {
			return nil, fmt.Errorf("%w: CLUSTER SLOTS", pipeline.ErrProtocol)
		}
		first, last := r.Array[0].Int, r.Array[1].Int
		ip := string(r.Array[2].Array[0].Bytes)
		if ip == "" {
			ip = host
		}
		n := c.node(net.JoinHostPort(ip, strconv.FormatInt(r.Array[2].Array[1].Int, 10)))
		if n == nil {
			return nil, ErrClosed
		}
		for s := max(first, 0); s <= last && s < slots; s++ {
			m[s] = n
		}
	}
	return m, nil
}
