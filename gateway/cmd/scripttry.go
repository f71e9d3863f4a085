package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"sluice/cachesync/memcache"
	"sluice/gateway/config"
	"sluice/gateway/modules"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
	"sluice/gateway/route"
	"sluice/lua"
	"sluice/lua/bundle"
	"sluice/lua/ngx"
)

// scriptCheck is `sluice script check`.
func scriptCheck() *cobra.Command {
	var root string
	cmd := &cobra.Command{
		Use: "check FILE...", Short: "Find mistakes before a script is live: syntax, unknown globals, ngx.* we lack; exit 1 if there are", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return offline(root, args[0], func(cfg lua.Config, files bundle.Files, dir string) error {
				asked := map[string]bool{}
				for _, arg := range args {
					name, err := inBundle(dir, arg)
					if err != nil {
						return err
					}
					text, err := os.ReadFile(arg)
					if err != nil {
						return err
					}
					files[name], asked[name] = string(text), true
				}
				runtime := lua.NewRuntime(cfg)
				defer runtime.Close()
				bad := 0
				for _, f := range runtime.Check(files) {
					if !asked[f.File] {
						continue
					}
					fmt.Fprintln(cmd.OutOrStdout(), f)
					bad++
				}
				if bad > 0 {
					return fmt.Errorf("%d mistakes", bad)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&root, "scripts", "", "the bundle's folder; default: the nearest one above FILE with a routes.yaml, else FILE's own")
	return cmd
}

// scriptRun is `sluice script run`.
func scriptRun() *cobra.Command {
	var root, request, body string
	var headers, params []string
	cmd := &cobra.Command{
		Use: "run FILE [--request 'GET /path?a=b']", Short: "Run one script for one made-up request, without a gateway", Args: cobra.ExactArgs(1),
		Long: `Runs one script as the content of one request, with its bundle around it. The body goes
to stdout; log, status, headers and what the run used of its budget go to stderr. There
are no backends: sluice.redpacket and the like answer "later".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := lua.OneRequest{Body: body}
			var ok bool
			if q.Method, q.URI, ok = strings.Cut(request, " "); !ok || !strings.HasPrefix(q.URI, "/") {
				return &exitError{2, fmt.Errorf("--request %.80q: write it as 'GET /path'", request)}
			}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, ":")
				if !ok {
					return &exitError{2, fmt.Errorf("--header %.80q: write it as 'Name: value'", h)}
				}
				q.Headers = append(q.Headers, [2]string{name, strings.TrimSpace(value)})
			}
			for _, p := range params {
				name, value, ok := strings.Cut(p, "=")
				if !ok {
					return &exitError{2, fmt.Errorf("--param %.80q: write it as id=value", p)}
				}
				q.Params = append(q.Params, ngx.Param{Name: name, Value: value})
			}
			return offline(root, args[0], func(cfg lua.Config, files bundle.Files, dir string) error {
				name, err := inBundle(dir, args[0])
				if err != nil {
					return err
				}
				text, err := os.ReadFile(args[0])
				if err != nil {
					return err
				}
				files[name] = string(text)
				globals, err := globalsIn(files)
				if err != nil {
					return err
				}
				q.Init = globals.Init
				r, err := lua.RunOnce(cfg, files, name, q)
				if err != nil {
					return err
				}
				return printRun(cmd, r)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&root, "scripts", "", "the bundle's folder; default: the nearest one above FILE with a routes.yaml, else FILE's own")
	f.StringVar(&request, "request", "GET /", "method and path")
	f.StringVar(&body, "body", "", "the request's body")
	f.StringArrayVar(&headers, "header", nil, "'Name: value', may be repeated")
	f.StringArrayVar(&params, "param", nil, "a path parameter, such as id=demo; may be repeated")
	return cmd
}

func printRun(cmd *cobra.Command, r *lua.RunResult) error {
	cmd.OutOrStdout().Write(r.Body)
	errs := cmd.ErrOrStderr()
	for _, line := range r.Log {
		fmt.Fprintln(errs, line)
	}
	fmt.Fprintf(errs, "status %d\n", r.Status)
	for _, h := range r.Headers {
		fmt.Fprintf(errs, "%s: %s\n", h[0], h[1])
	}
	fmt.Fprintf(errs, "used %d instructions, %d bytes, %d backend calls, %d sub-requests\n",
		r.Used.Instructions, r.Used.Memory, r.Used.Calls, r.Used.Subrequests)
	switch {
	case r.Failure != "":
		return errors.New("the script failed: " + r.Failure)
	case r.Status >= 500:
		return fmt.Errorf("the handler answered %d", r.Status)
	}
	return nil
}

// offline calls f with the runtime's configuration and the bundle that file is
// in. Its sluice.* modules are the real ones, on backends that are not there.
func offline(root, file string, f func(cfg lua.Config, files bundle.Files, dir string) error) error {
	dir, err := bundleDir(root, file)
	if err != nil {
		return err
	}
	files, err := readScripts(dir)
	if err != nil {
		return err
	}
	log, err := newLogger("error")
	if err != nil {
		return err
	}
	redis.SetLogger(silent{})
	const nowhere = "127.0.0.1:1" // refuses at once
	cfg := config.Default()
	cfg.Secret = random()
	cfg.Redis.Addrs, cfg.Memcached.Servers = []string{nowhere}, []string{nowhere}
	p, err := openParts(cfg, log, "")
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.openHouse(true); err != nil {
		return err
	}
	client, err := memcache.New(memcache.Config{Servers: cfg.Memcached.Servers})
	if err != nil {
		return err
	}
	p.onClose(client.Close)
	cache := p.openCache(client)
	desk, err := redpacket.NewHome(redpacket.HomeConfig{House: p.house, Cache: cache})
	if err != nil {
		return err
	}
	globals, err := globalsIn(files)
	if err != nil {
		return err
	}
	shared := map[string]int{}
	for name, size := range globals.Shared {
		shared[name] = int(size)
	}
	return f(lua.Config{
		Logger: log, Shared: shared, PackagePath: []string{"/usr/share/lua/5.1"}, Prefix: dir,
		Modules: modules.All(modules.Deps{
			Tokens: p.ring, Desk: desk, IDs: p.ids, Home: uint8(cfg.Region.ID), Now: time.Now, Logger: log,
			Cache: client, Redis: p.hot,
			Door: room.NewDoor(cache, p.rooms, p.ring, nil, cfg.Rooms.TokenLife),
		}),
	}, files, dir)
}

// silent keeps go-redis from telling on stderr that there is no Redis.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// globalsIn is what a bundle's routes.yaml, if there is one, says beside its routes, whose scripts need not be there yet.
func globalsIn(files bundle.Files) (g route.Globals, err error) {
	if text, ok := files[route.FileName]; ok {
		table, err := route.Parse(text, func(string) bool { return true })
		if err != nil {
			return g, err
		}
		g = table.Globals
	}
	return g, nil
}

// bundleDir is the folder of the bundle that file belongs to.
func bundleDir(root, file string) (string, error) {
	if root != "" {
		return filepath.Abs(root)
	}
	full, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	for dir := filepath.Dir(full); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "routes.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return filepath.Dir(full), nil
		}
	}
}

// inBundle is a file's name in the bundle at dir.
func inBundle(dir, file string) (string, error) {
	full, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(full); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(dir, full)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", errors.New(file + " is not in " + dir + "; name the folder with --scripts")
	}
	return filepath.ToSlash(rel), nil
}
