package cmd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/cachesync"
	"sluice/cachesync/memcache/embedded"
	"sluice/gateway/admin"
	"sluice/gateway/config"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
	"sluice/gateway/token"
)

// runFlags are the flags of `sluice run`.
type runFlags struct{ data, scripts, listen, admin, log string }

// Run is `sluice run`: everything in one process.
func Run() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Everything in one process on embedded stores: the try-out, and small sites",
		Long: `Everything in one process: gateway, settle and syncer, on an embedded memcached, an
embedded Redis and a SQLite ledger in the data folder. A draw is answered when the
ledger has it; open red packets are rebuilt from the ledger at start, so that neither
a restart nor kill -9 loses money.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(f.log)
			if err != nil {
				return err
			}
			unlock, err := lockData(f.data)
			if err != nil {
				return err
			}
			defer unlock()
			stores, err := startEmbedded()
			if err != nil {
				return err
			}
			defer stores.close()
			cfg, err := runConfig(f, stores)
			if err != nil {
				return err
			}
			p, err := openParts(cfg, log, "")
			if err != nil {
				return err
			}
			defer p.close()
			return runAll(cmd.Context(), p, stores, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "./data", "where the ledger and the secrets are kept")
	flags.StringVar(&f.scripts, "scripts", "./scripts", "the folder of routes.yaml and the handlers")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "public address")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:8081", "admin address")
	flags.StringVar(&f.log, "log", "warn", "debug, info, warn or error")
	return cmd
}

// embeddedMemory is how much the embedded memcached keeps.
const embeddedMemory = 256 << 20

// stores are the embedded memcached and Redis.
type stores struct {
	cache     *embedded.Server
	cacheAddr string
	redis     *miniredis.Miniredis
}

func startEmbedded() (*stores, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("embedded memcached: %w", err)
	}
	s := &stores{cache: embedded.New(embedded.Config{MaxBytes: embeddedMemory}), cacheAddr: ln.Addr().String(), redis: miniredis.NewMiniRedis()}
	s.cache.Start(ln)
	if err := s.redis.Start(); err != nil {
		s.cache.Close()
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	return s, nil
}

func (s *stores) close() {
	s.redis.Close()
	s.cache.Close()
}

// age lets the embedded Redis' keys expire, which it does not do by itself.
func (s *stores) age(ctx context.Context) error {
	const step = 100 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}

// runAll puts the parts together and serves until ctx ends.
func runAll(ctx context.Context, p *parts, s *stores, out io.Writer) error {
	if err := p.openHouse(true); err != nil {
		return err
	}
	store, err := p.openLedger(ctx)
	if err != nil {
		return err
	}
	client, err := p.openMemcached(true)
	if err != nil {
		return err
	}
	server, err := admin.New(p.cfg.Admin.Listen, p.cfg.Admin.Token, p.registry, p.log)
	if err != nil {
		return err
	}
	keeper, err := p.newKeeper(store, server, nil, true)
	if err != nil {
		return err
	}
	cache := p.openCache(client)
	syncer, err := p.newSyncer(cachesync.Deps{Store: client, Caches: []*cachesync.Cache{cache}})
	if err != nil {
		return err
	}
	front, err := p.newFront(frontParts{
		cache: cache, store: client, wins: store, admin: server,
		confirm: keeper.settler.WaitSettled, confirmFund: keeper.splitter.WaitStored, confirmClose: keeper.closer.Finish,
	})
	if err != nil {
		return err
	}
	everything := func(ctx context.Context) error {
		// The front drains first: what it waits for must still run meanwhile.
		under, stop := context.WithCancel(context.WithoutCancel(ctx))
		group, group1 := errgroup.WithContext(under)
		for _, run := range []func(context.Context) error{s.age, keeper.Run, syncer.Run} {
			group.Go(func() error { return run(group1) })
		}
		group.Go(func() error {
			defer stop()
			over, cancel := context.WithCancel(ctx)
			defer cancel()
			context.AfterFunc(group1, cancel)
			return front.Run(over)
		})
		return group.Wait()
	}
	welcomed := make(chan error, 1)
	go func() { welcomed <- p.welcome(ctx, server, front.Addr(), server.Addr(), out) }()
	if err := serve(ctx, everything, server.Run); err != nil {
		return err
	}
	return <-welcomed
}

// demo names of the try-out.
const (
	demoUser = "demo"
	demoRoom = "demo"
)

// welcome makes a red packet and a room to play with once all is ready, and
// prints how.
func (p *parts) welcome(ctx context.Context, server *admin.Server, public, adminAddr string, out io.Writer) error {
	var id redpacket.ID
	var err error
	for {
		if id, err = p.demo(ctx, server); err == nil {
			break
		}
		p.log.Debug("not ready yet", "why", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	text, err := p.ring.Mint(token.Claims{UID: demoUser, Scope: "fund"}, 24*time.Hour)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, welcomeText, public, adminAddr, text, p.cfg.Data, p.cfg.Scripts, demoUser, id, demoRoom)
	return nil
}

// demo makes the demo room, once, and a demo red packet, once a start.
func (p *parts) demo(ctx context.Context, server *admin.Server) (id redpacket.ID, err error) {
	if waits := server.NotReady(ctx); len(waits) > 0 {
		return id, fmt.Errorf("%v", waits)
	}
	if _, err := p.rooms.Change(ctx, demoRoom, func(old *room.Room) (*room.Room, error) {
		if old != nil {
			return old, nil
		}
		return &room.Room{Title: "Demo room", State: room.Live}, nil
	}); err != nil {
		return id, err
	}
	desk, err := redpacket.NewHome(redpacket.HomeConfig{House: p.house, Cache: nothing{}})
	if err != nil {
		return id, err
	}
	req, err := redpacket.ParseFund([]byte(`{"amount":10000,"count":20}`))
	if err != nil {
		return id, err
	}
	req.Sender, req.Home, req.Key = demoUser, uint8(p.cfg.HomeID()), "start-"+p.started
	funded, err := desk.Fund(ctx, req)
	return funded.ID, err
}

const welcomeText = `Sluice runs.  public http://%[1]s   admin http://%[2]s   data %[4]s   scripts %[5]s

A token for 24 hours, uid %[6]s, scope fund:

  %[3]s

Fund a red packet; draw from one that is open already; enter a live room:

  curl -s -X POST http://%[1]s/v1/redpackets -H 'Authorization: Bearer %[3]s' -d '{"amount":10000,"count":20}'
  curl -s -X POST http://%[1]s/v1/redpackets/%[7]s/draw -H 'Authorization: Bearer %[3]s'
  curl -s -X POST http://%[1]s/v1/rooms/%[8]s/enter -H 'Authorization: Bearer %[3]s'

Prove the money to the fen:  sluice redpacket reconcile --data %[4]s %[7]s
Stop with Ctrl-C.
`

// lockData keeps a second `sluice run` out of the same folder.
func lockData(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return flock(dir + "/lock")
}

// runConfig is the configuration of the embedded house: secrets are made at the
// first start and kept.
func runConfig(f runFlags, s *stores) (config.Config, error) {
	secrets, err := loadSecrets(f.data)
	if err != nil {
		return config.Config{}, err
	}
	return writeRunFile(f, s, secrets)
}
