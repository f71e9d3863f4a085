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
