package resty

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"

	"sluice/lua/vm"
)

// digest is a module like resty.sha256: new, update, final, reset.
type digest struct {
	name string
	new  func() hash.Hash
}

var digests = []digest{
	{"md5", md5.New},
	{"sha1", sha1.New},
	{"sha224", sha256.New224},
	{"sha256", sha256.New},
	{"sha384", sha512.New384},
	{"sha512", sha512.New},
}

func (d digest) module(*vm.Thread) vm.Value {
	m, meta := vm.NewTable(0, 8), vm.NewTable(0, 1)
	meta.SetStr("__index", m.Value())
	def(m, "new", func(t *vm.Thread) int {
		self := vm.NewTable(0, 1)
		self.SetStr("_ctx", vm.NewUserdata(d.new(), nil).Value())
		self.SetMetatable(meta)
		t.Push(self.Value())
		return 1
	})
	def(m, "update", func(t *vm.Thread) int {
		h := hashOf(t)
		s := t.CheckString(2)
		if n, ok := t.Arg(3).ToNumber(); ok && n >= 0 && n < float64(len(s)) {
			s = s[:int(n)]
		}
		h.Write([]byte(s))
		t.PushBool(true)
		return 1
	})
	def(m, "final", func(t *vm.Thread) int {
		t.PushString(string(hashOf(t).Sum(nil)))
		return 1
	})
	def(m, "reset", func(t *vm.Thread) int {
		hashOf(t).Reset()
		t.PushBool(true)
		return 1
	})
	return versioned(m)
}

func hashOf(t *vm.Thread) hash.Hash {
	if u := t.CheckTable(1).GetStr("_ctx").AsUserdata(); u != nil {
		if h, ok := u.Data.(hash.Hash); ok {
			return h
		}
	}
	t.ArgError(1, "digest object expected")
	return nil
}

func def(m *vm.Table, name string, f vm.GoFunc) { m.SetStr(name, vm.NewFunc(name, f)) }

// stringModule is resty.string.
func stringModule(*vm.Thread) vm.Value {
	m := vm.NewTable(0, 4)
	def(m, "to_hex", func(t *vm.Thread) int {
		s := t.CheckString(1)
		t.State().Charge(t, int64(2*len(s)))
		t.PushString(hex.EncodeToString([]byte(s)))
		return 1
	})
	def(m, "atoi", func(t *vm.Thread) int {
		t.PushNumber(atoi(t.CheckString(1)))
		return 1
	})
	return versioned(m)
}

// atoi is ngx_atoi: digits only, and -1 for anything else.
func atoi(s string) float64 {
	const most = 1<<63 - 1
	if s == "" {
		return -1
	}
	n := uint64(0)
	for _, c := range []byte(s) {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (most-d)/10 {
			return -1
		}
		n = n*10 + d
	}
	return float64(n)
}

// maxRandom bounds one call of resty.random.
const maxRandom = 16 << 20

func randomModule(*vm.Thread) vm.Value {
	m := vm.NewTable(0, 2)
	def(m, "bytes", func(t *vm.Thread) int {
		n := t.CheckInt(1)
		if n < 0 || n > maxRandom {
			t.ArgError(1, "length out of range")
		}
		t.State().Charge(t, int64(n))
		b := make([]byte, n)
		if _, err := rand.Read(b); err != nil {
			t.PushNil()
			return 1
		}
		t.PushString(string(b))
		return 1
	})
	return versioned(m)
}
