package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/servers"
)

// outage is a house whose Redis comes back with less than it had, and what users were told before.
type outage struct {
	*house
	id   string
	told map[string]heard
}

const outageShares = 40

func startOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{house: startHouse(t), told: map[string]heard{}}
	o.id = fund(t, newClient(o.addr, o.token("sender", "fund")), fmt.Sprintf(`{"amount":%d,"count":%d}`, 1000*outageShares, outageShares))
	return o
}

func (o *outage) draw(uid string) answer {
	o.t.Helper()
	a, err := newClient(o.addr, o.token(uid, "")).try("POST", "/v1/redpackets/"+o.id+"/draw", "")
	if err != nil {
		o.t.Fatalf("%s: %v", uid, err)
	}
	return a
}

// win draws for users first to last, who win.
func (o *outage) win(first, last int) {
	o.t.Helper()
	for u := first; u <= last; u++ {
		uid := fmt.Sprintf("u%d", u)
		eventually(o.t, 60*time.Second, func() error {
			a := o.draw(uid)
			if o.told[uid] = (heard{"won", a.num("share"), a.num("amount")}); a.str("outcome") != "won" && a.str("outcome") != "already" {
				return fmt.Errorf("%s: %d %s", uid, a.Status, a.Body)
			}
			return nil
		})
	}
}

// same asks again for users first to last until they are answered, and they hear what they heard.
func (o *outage) same(first, last int) {
	o.t.Helper()
	for u := first; u <= last; u++ {
		uid := fmt.Sprintf("u%d", u)
		eventually(o.t, 60*time.Second, func() error {
			a := o.draw(uid)
			if a.Status == 503 {
				return fmt.Errorf("%s: %s", uid, a.Body)
			}
			if was := o.told[uid]; a.str("outcome") != "already" || a.num("share") != was.share || a.num("amount") != was.amount {
				o.t.Fatalf("%s hears %d %s, and heard %+v", uid, a.Status, a.Body, was)
			}
			return nil
		})
	}
}

// settled waits until the ledger has all wins.
func (o *outage) settled() string {
	o.t.Helper()
	var out string
	eventually(o.t, 30*time.Second, func() error {
		var code int
		if out, code = sluice(o.t, "redpacket", "reconcile", "-c", o.file, o.id); code != 0 || !zero(out, "unsettled") {
			return fmt.Errorf("exit %d:\n%s", code, out)
		}
		return nil
	})
	return out
}

func (o *outage) do(args ...string) *redis.Cmd {
	o.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: o.redis.Addr})
	defer rdb.Close()
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	cmd := rdb.Do(context.Background(), list...)
	if cmd.Err() != nil {
		o.t.Fatalf("%v: %v", args, cmd.Err())
	}
	return cmd
}

// command runs one of `sluice redpacket` until it succeeds and says what is wanted: buckets that
// are certified just now answer "later".
func (o *outage) command(want func(out string) bool, name string, args ...string) {
	o.t.Helper()
	eventually(o.t, 60*time.Second, func() error {
		out, code := sluice(o.t, append([]string{"redpacket", name, "-c", o.file}, args...)...)
		if code != 0 || want != nil && !want(out) {
			return fmt.Errorf("%s: exit %d:\n%s", name, code, out)
		}
		return nil
	})
}

// quarantine proves that all shares the ledger knows no winner of are held: those who were told
// of one, and newcomers, hear "later" or the very same; operators see it; and each share ends with
// who was told of it, or goes back. The ledger knows what Redis had told settle before it was
// paused: the wins up to known at least, and one more when its answer was on the way. It returns
// how many shares were held.
func (o *outage) quarantine(known, told int) (held int) {
	t := o.t
	t.Helper()
	o.command(func(out string) bool {
		_, rest, _ := strings.Cut(out, "quarantined")
		fmt.Sscan(rest, &held)
		return held > 0
	}, "show", o.id)
	if held > outageShares-known || held < outageShares-told {
		t.Fatalf("%d shares are held; %d to %d of %d were known as won", held, known, told, outageShares)
	}
	known = outageShares - held
	o.command(func(out string) bool { return strings.Count(out, "  held  ") == held }, "quarantined", o.id)
	o.same(1, known)
	for u := known + 1; u <= told+3; u++ {
		uid := fmt.Sprintf("u%d", u)
		a := o.draw(uid)
		if was, ok := o.told[uid]; a.Status != 503 && !(ok && a.str("outcome") == "already" && a.num("share") == was.share) {
			t.Errorf("%s, who may have won, hears %d %s", uid, a.Status, a.Body)
		}
	}
	if out := o.settled(); zero(out, "quarantined") || !zero(out, "left") {
		t.Errorf("%s", out)
	}
	for u := known + 1; u <= told; u++ {
		uid := fmt.Sprintf("u%d", u)
		o.command(nil, "release", o.id, fmt.Sprint(o.told[uid].share), "--to", uid, "--why", "has the answer")
	}
	o.same(known+1, told)
	o.command(nil, "close", o.id)
	o.command(nil, "release", o.id, "all", "--refund", "--why", "nobody was told")
	eventually(t, 20*time.Second, func() error {
		if a := o.draw("somebody"); a.str("outcome") != "closed" {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
	o.proved(told)
	return held
}

// proved ends a test: the money fits to the fen, and no share went twice.
func (o *outage) proved(winners int) {
	t := o.t
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		out, code := sluice(t, "redpacket", "reconcile", "-c", o.file, o.id)
		if code != 0 || !zero(out, "quarantined") || !zero(out, "unsettled") || !zero(out, "left") {
			return fmt.Errorf("exit %d:\n%s", code, out)
		}
		return nil
	})
	a := newClient(o.addr, o.token("auditor", "")).do(t, "GET", "/v1/redpackets/"+o.id+"/winners", "")
	list, _ := a.JSON["winners"].([]any)
	taken := map[int64]bool{}
	for _, one := range list {
		w := one.(map[string]any)
		share := int64(w["share"].(float64))
		if was := o.told[w["uid"].(string)]; taken[share] || was.share != share || was.amount != int64(w["amount"].(float64)) {
			t.Errorf("listed is %v, told was %+v", w, was)
		}
		taken[share] = true
	}
	if len(list) != winners {
		t.Errorf("%d winners are listed, %d were told", len(list), winners)
	}
}

// metric reads one of settle's.
func (o *outage) metric(name string) string {
	o.t.Helper()
	a := newClient(o.settleAddr, adminToken).do(o.t, "GET", "/metrics", "")
	for line := range strings.Lines(a.Body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A Redis that lost the end of its AOF, in the middle of a command, is behind the ledger: that
// shows, and what nobody knows is held.
func TestAnAOFCutByHandGivesNoShareTwice(t *testing.T) {
	t.Parallel()
	o := startOutage(t)
	o.win(1, 5)
	o.settled()
	files, err := filepath.Glob(filepath.Join(o.redis.Dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	cut, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	o.win(6, 12)
	o.settled()
	o.settle.pause()
	o.win(13, 15) // acknowledged, and in no ledger
	o.redis.Kill()
	if err := os.Truncate(files[0], cut.Size()+11); err != nil {
		t.Fatal(err)
	}
	o.redis.Start()
	o.settle.resume()
	held := o.quarantine(12, 15)
	if n := o.metric("sluice_quarantined_shares_total"); n != fmt.Sprint(held) {
		t.Errorf("sluice_quarantined_shares_total is %q, %d were held", n, held)
	}
}

// An older RDB that is put back may know all that the ledger knows, and still have forgotten what
// users were told: then nothing shows it, and `certify --restored` says it.
func TestAnOldRDBPutBackGivesNoShareTwice(t *testing.T) {
	t.Parallel()
	o := startOutage(t)
	o.win(1, 6)
	o.settled()
	o.do("SAVE")
	o.settle.pause()
	o.win(7, 9) // acknowledged, and in no ledger
	o.redis.Kill()
	rdb, err := os.ReadFile(filepath.Join(o.redis.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(o.redis.Dir, "appendonlydir")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"appendonly.aof.1.base.rdb": string(rdb),
		"appendonly.aof.1.incr.aof": "",
		"appendonly.aof.manifest":   "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.redis.Start()
	out := mustSluice(t, "redpacket", "certify", "-c", o.file, "--restored", "last night's RDB was put back", "--yes")
	if !strings.Contains(out, fmt.Sprintf("quarantined %d ", outageShares-6)) {
		t.Errorf("certify:\n%s", out)
	}
	o.settle.resume()
	o.quarantine(6, 9)
}

// follow gives the house's Redis a replica that has everything.
func (o *outage) follow() *servers.RedisServer {
	o.t.Helper()
	host, port, _ := net.SplitHostPort(o.redis.Addr)
	replica := servers.Redis(o.t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	eventually(o.t, 20*time.Second, func() error {
		if text, err := o.do("INFO", "replication").Text(); err != nil || !strings.Contains(text, "state=online") {
			return fmt.Errorf("%s, %v", text, err)
		}
		return nil
	})
	return replica
}

// point changes sluice.yaml, by pairs of old and new, and starts gateway and settle again with it.
func (o *outage) point(pairs ...string) {
	o.t.Helper()
	text, err := os.ReadFile(o.file)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(o.file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
		o.t.Fatal(err)
	}
	for _, p := range []*process{o.gateway, o.settle} {
		p.kill()
		p.start()
	}
	awaitReady(o.t, o.settle, o.settleAddr)
	awaitReady(o.t, o.gateway, o.gateAdmin)
}

// turn points the house to a Redis that was promoted, and has no replica yet.
func (o *outage) turn(promoted *servers.RedisServer) {
	o.t.Helper()
	old := o.redis.Addr
	o.redis = promoted
	o.point(old, promoted.Addr, "\n  replicas: 1", "")
}

// An answer that waited for a replica is not lost with the primary, whoever promotes
// the replica: somebody by hand, or Sentinel.
func TestAPromotedReplicaKeepsWhatWaitedForIt(t *testing.T) {
	t.Parallel()
	f := func(name string, promote func(t *testing.T, o *outage, replica *servers.RedisServer)) {
		t.Run(name, func(t *testing.T) {
			o := startOutage(t)
			replica := o.follow()
			o.point(fmt.Sprintf("addrs: [%q]", o.redis.Addr), fmt.Sprintf("addrs: [%q]\n  replicas: 1", o.redis.Addr))
			o.win(1, 10)
			o.settle.pause()
			o.win(11, 14) // in the replica, and in no ledger
			promote(t, o, replica)
			o.settle.resume()
			o.turn(replica)
			o.same(1, 14)
			o.win(15, outageShares)
			eventually(t, 20*time.Second, func() error {
				if a := o.draw("late"); a.str("outcome") != "soldout" {
					return fmt.Errorf("%d %s", a.Status, a.Body)
				}
				return nil
			})
			if out := mustSluice(t, "redpacket", "quarantined", "-c", o.file, o.id); out != "" {
				t.Errorf("nothing was lost, and this is held:\n%s", out)
			}
			o.proved(outageShares)
		})
	}
	f("by hand", func(t *testing.T, o *outage, replica *servers.RedisServer) {
		o.redis.Kill()
		rdb := redis.NewClient(&redis.Options{Addr: replica.Addr})
		defer rdb.Close()
		if err := rdb.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
	})
	f("by Sentinel", func(t *testing.T, o *outage, replica *servers.RedisServer) {
		host, port, _ := net.SplitHostPort(o.redis.Addr)
		at := servers.FreePort(t)
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor home %s %s 1\nsentinel down-after-milliseconds home 500\n"+
			"sentinel failover-timeout home 2000\n", at, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		addr := fmt.Sprintf("127.0.0.1:%d", at)
		servers.StartProgram(t, "redis-server", nil, addr, conf, "--sentinel")
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr})
		defer sentinel.Close()
		await := func(what string, f func() (bool, error)) {
			t.Helper()
			eventually(t, 60*time.Second, func() error {
				if ok, err := f(); !ok || err != nil {
					return fmt.Errorf("%s: %v", what, err)
				}
				return nil
			})
		}
		ctx := context.Background()
		await("Sentinel knows no replica", func() (bool, error) {
			list, err := sentinel.Replicas(ctx, "home").Result()
			return len(list) == 1, err
		})
		o.redis.Kill()
		await("Sentinel promotes nobody", func() (bool, error) {
			at, err := sentinel.GetMasterAddrByName(ctx, "home").Result()
			return len(at) == 2 && net.JoinHostPort(at[0], at[1]) == replica.Addr, err
		})
	})
}

// A replica that was behind when it was promoted is behind the ledger: that shows.
func TestAPromotedReplicaThatWasBehindGivesNoShareTwice(t *testing.T) {
	t.Parallel()
	o := startOutage(t)
	o.win(1, 4)
	replica := o.follow()
	replica.Kill()
	o.win(5, 8)
	o.settled()
	o.redis.Kill()
	replica.Start()
	rdb := redis.NewClient(&redis.Options{Addr: replica.Addr})
	defer rdb.Close()
	if err := rdb.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	o.turn(replica)
	o.quarantine(8, 8)
}
