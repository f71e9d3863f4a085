package cmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"sluice/cachesync/warmup"
	"sluice/cachesync/warmup/plan"
	"sluice/gateway/config"
	"sluice/gateway/inventory"
	"sluice/gateway/redpacket"
	"sluice/lua"
	"sluice/lua/cjson"
	"sluice/lua/vm"
)

// Warm is `sluice warm`.
func Warm() *cobra.Command {
	var at place
	return warmup.Command(warmup.Deps{
		Flags: at.flags,
		Regions: func(context.Context) ([]warmup.Region, error) {
			cfg, err := at.load()
			if err != nil {
				return nil, err
			}
			return warmRegions(cfg), nil
		},
		Homes: func(context.Context) ([]warmup.Home, func(), error) {
			cfg, err := at.load()
			if err != nil {
				return nil, nil, err
			}
			return openHomes(cfg)
		},
		Transform: luaTransform,
	})
}

// warmRegions are this region and those whose memcached the configuration
// names.
func warmRegions(cfg config.Config) []warmup.Region {
	all := []warmup.Region{{Name: cfg.Region.Name, Servers: cfg.Memcached.Servers}}
	for _, r := range cfg.Regions {
		all = append(all, warmup.Region{Name: r.Name, Servers: r.Memcached})
	}
	return all
}

// openHomes opens the home that the configuration names.
func openHomes(cfg config.Config) ([]warmup.Home, func(), error) {
	log, err := newLogger("warn")
	if err != nil {
		return nil, nil, err
	}
	p, err := openParts(cfg, log, "")
	if err != nil {
		return nil, nil, err
	}
	if err := p.openHouse(false); err != nil {
		p.close()
		return nil, nil, err
	}
	return []warmup.Home{p.newInventory()}, p.close, nil
}

// newInventory lists what the home of this region holds.
func (p *parts) newInventory() *inventory.Inventory {
	return inventory.New(p.cfg.HomeName(), p.control, redpacket.NewSource(p.house), p.rooms)
}

// luaTransform compiles a file that returns a function(key, record), which
// returns the record to store, or nil to leave it out. It runs under the same
// budget as a handler.
func luaTransform(_ context.Context, path string) (plan.Transform, func(), error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	proto, err := vm.Compile("@"+filepath.Base(path), string(text))
	if err != nil {
		return nil, nil, err
	}
	state := vm.NewState(vm.Options{})
	results, err := state.Call(state.Load(proto, nil))
	if err != nil {
		return nil, nil, err
	}
	if len(results) == 0 || results[0].AsFunction() == nil {
		return nil, nil, fmt.Errorf("%s: must return a function(key, record)", path)
	}
	f := results[0]
	budget, null := lua.DefaultBudget(), vm.Light("null")
	var one sync.Mutex // a state runs one call at a time
	return func(key string, payload []byte) ([]byte, bool, error) {
		one.Lock()
		defer one.Unlock()
		state.SetBudget(vm.Budget{Instructions: budget.Instructions, MemoryBytes: budget.Memory})
		in, err := cjson.Decode(state.Main(), string(payload), null)
		if err != nil {
			return nil, false, err
		}
		out, err := state.Call(f, vm.String(key), in)
		if err != nil {
			return nil, false, err
		}
		if len(out) == 0 || out[0].IsNil() {
			return nil, false, nil
		}
		text, err := cjson.Encode(out[0], nil)
		return text, true, err
	}, func() {}, nil
}
