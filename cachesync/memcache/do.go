package memcache

import (
	"context"
	"errors"
	"fmt"

	"sluice/cachesync/pipeline"
)

// batch holds the calls of one Do while it runs.
type batch struct{ calls []*call }

func (b *batch) callFor(c *Client, n *node) *call {
	for _, k := range b.calls {
		if k.node == n {
			return k
		}
	}
	k := c.calls.Get().(*call)
	k.node = n
	b.calls = append(b.calls, k)
	return k
}

// Do runs ops, grouped by node and pipelined with everybody else's, and writes
// each outcome into its op. Ops for one key run in the order given.
//
// The error is the first one of the transport (ErrNodeDown, ErrTimeout, ErrLost,
// ErrBusy, ErrCanceled, ErrClosed), which also stands in each op it concerns;
// misses and refusals of single keys are in op.Err alone. A write with
// ErrTimeout, ErrLost or ErrCanceled may have happened.
//
// A context without Done (context.Background) is the cheapest; Config.Timeout
// holds all the same.
func (c *Client) Do(ctx context.Context, ops []Op) error { return c.do(ctx, nil, ops) }

// DoNode runs ops on one node, whatever the keys' owners: for canaries and probes.
func (c *Client) DoNode(ctx context.Context, addr string, ops []Op) error {
	n := c.byAddr[addr]
	if n == nil {
		return fmt.Errorf("%w: no node %s", ErrNoServers, addr)
	}
	return c.do(ctx, n, ops)
}

func (c *Client) do(ctx context.Context, only *node, ops []Op) error {
	b := c.batches.Get().(*batch)
	for i := range ops {
		op := &ops[i]
		op.Err = nil
		n := only
		if n == nil {
			var err error
			if n, err = c.owner(op.Key); err != nil {
				op.Err = err
				continue
			}
		}
		switch {
		case !legalKey(op.Key):
			op.Err = ErrMalformedKey
		case op.Kind > Decr:
			op.Err = fmt.Errorf("memcache: unknown kind of op %d", op.Kind)
		case op.Kind > Gets && len(op.Value) > c.cfg.MaxValueBytes:
			op.Err = ErrTooLarge
		default:
			b.callFor(c, n).add(i, op)
		}
	}
	for _, k := range b.calls {
		k.closeLine()
		lane := 0
		if len(k.Req) > bulkBytes || len(k.results) > bulkOps {
			lane = 1
		}
		k.err = k.node.pipe.Start(ctx, &k.Call, lane)
		k.started = k.err == nil
	}
	var first error
	for i, k := range b.calls {
		if k.started {
			k.err = k.Wait(ctx)
		}
		if k.err != nil {
			first = k.fail(ops, first)
		} else {
			k.deliver(ops)
		}
		k.Release()
		b.calls[i] = nil
	}
	b.calls = b.calls[:0]
	c.batches.Put(b)
	return first
}

// deliver copies the results to the caller's ops.
func (k *call) deliver(ops []Op) {
	for i := range k.results {
		r := &k.results[i]
		op := &ops[r.op]
		op.Err = r.err
		switch {
		case r.kind <= Gets:
			op.Value, op.Flags = r.value, r.flags
			if r.kind == Gets {
				op.CAS = r.cas
			}
		case r.kind >= Incr:
			op.Number = r.cas
		}
	}
}

// fail must not read the results: the reader may be writing them.
func (k *call) fail(ops []Op, first error) error {
	if k.writes && (errors.Is(k.err, ErrNodeDown) || errors.Is(k.err, ErrTimeout) || errors.Is(k.err, ErrLost)) {
		k.node.missed()
	}
	for i := range k.results {
		// op, unlike the outcome, does not change once the call has started.
		op := &ops[k.results[i].op]
		op.Err = k.err
		if op.Kind <= Gets {
			op.Value = nil
		}
	}
	if first == nil {
		return k.err
	}
	return first
}

var _ pipeline.Parser = (*call)(nil)
