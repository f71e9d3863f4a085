package config

import (
	"strings"
	"testing"
)

func TestProblemsNameFileAndLine(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parse("sluice.yaml", []byte(text), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("listen: 127.0.0.1:1\nlisen: x\n", "sluice.yaml:2: unknown field \"lisen\"")
	f("region:\n  name: a\n  klass: idc\n", "sluice.yaml:3: unknown field \"klass\"")
	f("region:\n  id: 300\n", "sluice.yaml:2: region.id: 300 is not in 1..255")
	f("region:\n  id: many\n", "sluice.yaml:2:")
	f("secret: ${NOT_SET}\n", "sluice.yaml:1: secret: the environment variable NOT_SET is not set")
	f("secret: short\n", "at least 32")
	f("listen: nowhere\n", "sluice.yaml:1: listen: \"nowhere\" is not host:port")
	f("tokens:\n  keys:\n    - id: a\n      algorithm: none\n", "sluice.yaml:4: tokens.keys[0].algorithm")
	f("tokens:\n  keys:\n    - id: a\n      algorithm: HS256\n      secret: x\n", "HS256 needs at least 32")
	f("limits:\n  in_flight: -1\n", "sluice.yaml:2: limits.in_flight: -1 is below zero")
	f("limits:\n  trusted_proxies: [everyone]\n", "is not a CIDR")
	f("redis:\n  addrs: [127.0.0.1:1, 127.0.0.1:2]\n", "cluster: true")
	f("ledger:\n  dsn: mysql://x\n", "must begin with postgres://")
	f("users:\n  url: users.internal/batch\n", "sluice.yaml:2: users.url: \"users.internal/batch\" is not an http or https URL")
	f("users:\n  epoch: 4096\n", "sluice.yaml:2: users.epoch: 4096 is not in 0..4095")
}

const twoHomes = `
region: {name: burst1, id: 3, class: burst, home: 1}
relay: {listen: "127.0.0.13:7100", addrs: ["127.0.0.13:7100"], secret: "0123456789abcdef"}
sync:
  homes:
    - {name: bj1, id: 1, redis: {addrs: ["127.0.0.11:6379"], password: geheim}}
    - {name: month1, id: 2, redis: {addrs: ["127.0.0.12:6379"]}}
`

func TestRegionWithoutAHomeUsesAnother(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	c, err := parse("sluice.yaml", []byte(twoHomes), none)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsHome() || c.HomeID() != 1 || c.HomeName() != "bj1" || c.Redis.Addrs[0] != "127.0.0.11:6379" || c.Redis.Password != "geheim" || len(c.FarHomes()) != 2 {
		t.Errorf("%+v", c)
	}
	if err := c.Need(RoleSettle); err == nil {
		t.Error("settle runs without a home")
	}
	if out, err := c.Print(); err != nil || strings.Contains(string(out), "geheim") || strings.Contains(string(out), "0123456789abcdef") {
		t.Errorf("print shows a secret: %v\n%s", err, out)
	}
	if c, err = parse("sluice.yaml", []byte("ledger: {far: {2: \"http://127.0.0.12:8081\"}}\n"+twoHomes), none); err != nil || c.Ledger.Far[2] != "http://127.0.0.12:8081" {
		t.Errorf("%+v, %v", c.Ledger, err)
	}
	f := func(old, new, want string) {
		t.Helper()
		_, err := parse("sluice.yaml", []byte(strings.Replace(twoHomes, old, new, 1)), none)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s for %s: got %v, want %q", new, old, err, want)
		}
	}
	f("relay:", "ledger: {far: {1: \"http://127.0.0.11:8081\"}}\nrelay:", "ledger.far.1")
	f("relay:", "ledger: {far: {7: \"http://127.0.0.17:8081\"}}\nrelay:", "ledger.far.7")
	f("relay:", "ledger: {far: {2: \"127.0.0.12:8081\"}}\nrelay:", "ledger.far.2")
	f("home: 1", "home: 9", "sluice.yaml:2: region.home: 9 is the id of none of sync.homes")
	f("home: 1", "home: 300", "sluice.yaml:2: region.home: 300 is not in 1..255")
	f(`listen: "127.0.0.13:7100"`, "listen: nowhere", `sluice.yaml:3: relay.listen: "nowhere" is not host:port`)
	f(`["127.0.0.13:7100"]`, "[nowhere]", "sluice.yaml:3: relay.addrs[0]")
	f("0123456789abcdef", "short", "sluice.yaml:3: relay.secret: has 5 characters")
	f("id: 2", "id: 1", "sluice.yaml:7: sync.homes[1].id: 1 is not in 1..255, or stands twice")
	f("id: 2", "id: 256", "sluice.yaml:7: sync.homes[1].id: 256")
	f("month1", "Month 1", "sluice.yaml:7: sync.homes[1].name")
	f("id: 2", "id: many", "sluice.yaml:7:")
	f("bj1, id: 1", "burst1, id: 1", "sluice.yaml:6: sync.homes[0].id: 1 is not region.id, which is 3")
	f(`redis: {addrs: ["127.0.0.12:6379"]}`, "redis: {}", "sluice.yaml:7: sync.homes[1].redis.addrs: is empty")
}

func TestSecretsComeFromTheEnvironmentAndAreNotPrinted(t *testing.T) {
	env := map[string]string{"S": strings.Repeat("s", 40), "P": "geheim"}
	c, err := parse("f", []byte("secret: ${S}\nredis:\n  password: ${P}\nledger:\n  dsn: postgres://u:pw@127.0.0.1/db\n"), func(k string) (string, bool) {
		v, ok := env[k]
		return v, ok
	})
	if err != nil || c.Secret != env["S"] || c.Redis.Password != "geheim" {
		t.Fatalf("%+v, %v", c, err)
	}
	out, err := c.Print()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{env["S"], "geheim", "pw@"} {
		if strings.Contains(string(out), secret) {
			t.Errorf("print shows %q:\n%s", secret, out)
		}
	}
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	c, err := parse("f", nil, nil)
	if err != nil || c.Limits.InFlight != Default().Limits.InFlight {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestTheExampleLoads(t *testing.T) {
	for _, name := range []string{"SLUICE_ADMIN_TOKEN", "SLUICE_SECRET", "SLUICE_TOKEN_SECRET"} {
		t.Setenv(name, strings.Repeat("x", 40))
	}
	t.Setenv("SLUICE_LEDGER_DSN", "postgres://sluice@127.0.0.1/sluice")
	c, err := Load("../../deploy/sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []Role{RoleGateway, RoleSettle, RoleSync} {
		if err := c.Need(role); err != nil {
			t.Error(err)
		}
	}
	if len(c.Memcached.Servers) != 1 || c.Memcached.Servers[0] != "127.0.0.1:11211" {
		t.Errorf("memcached.servers: %q", c.Memcached.Servers)
	}
}
