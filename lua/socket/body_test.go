package socket

import (
	"io"
	"net"
	"strings"
	"testing"

	"sluice/lua/vm"
)

type bodyHost struct {
	host
	body string
}

func (h *bodyHost) RequestBody(*vm.Thread) (io.Reader, net.Conn, error) {
	return strings.NewReader(h.body), nil, nil
}

func TestTheRequestBodyAsASocket(t *testing.T) {
	h := &bodyHost{host: host{request: 1}, body: "hello\r\nworld--x"}
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 2)
	ngx.SetStr("req", vm.NewTable(0, 1).Value())
	Install(ngx, h, NewPools(Config{}))
	s.Globals().SetStr("ngx", ngx.Value())
	p, err := vm.Compile("=t", `local s = ngx.req.socket()
return s:receive(), s:receiveuntil("--")(), s:receive("*a"), s.send, s:receive(1)`)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(p, s.Globals()))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range vals {
		out = append(out, s.Main().ToString(v))
	}
	if got := strings.Join(out, "|"); got != "hello|world|x|nil|nil|closed|" {
		t.Error(got)
	}
}

// No combination of arguments makes a Go panic.
func FuzzBindings(f *testing.F) {
	f.Add("127.0.0.1", 1.0, uint8(0), uint8(1))
	f.Add("unix:/nosuch", -1.0, uint8(5), uint8(77))
	f.Fuzz(func(t *testing.T, text string, n float64, which, order uint8) {
		h := &bodyHost{host: host{request: 1}, body: "some\nbody--\n"}
		s := vm.NewState(vm.Options{})
		ngx := vm.NewTable(0, 2)
		ngx.SetStr("req", vm.NewTable(0, 1).Value())
		Install(ngx, h, NewPools(Config{Resolver: nowhere{}}))
		lib := ngx.GetStr("socket").AsTable()
		names := []string{"send", "receive", "receiveany", "receiveuntil", "settimeout", "settimeouts", "setkeepalive",
			"getreusedtimes", "close", "sslhandshake", "shutdown", "bind", "setoption", "getoption", "setpeername"}
		made, err := s.Call([]vm.Value{lib.GetStr("tcp"), lib.GetStr("udp"), ngx.GetStr("req").AsTable().GetStr("socket")}[order%3])
		if err != nil {
			t.Fatal(err)
		}
		obj := made[0]
		m := obj.AsTable().Metatable().GetStr("__index").AsTable().GetStr(names[int(which)%len(names)])
		if names[int(which)%len(names)] == "setpeername" && order%3 == 1 {
			return // would send packets wherever the text says
		}
		opts := vm.NewTable(0, 2)
		opts.SetStr("inclusive", vm.True)
		opts.SetStr("pool", vm.String(text))
		vals := []vm.Value{vm.String(text), vm.Number(n), vm.Nil, vm.True, opts.Value(), obj}
		args := []vm.Value{obj}
		for i := range int(order) % 5 {
			args = append(args, vals[(int(order)+i*int(which|1))%len(vals)])
		}
		got, err := s.Call(m, args...)
		if err == nil && len(got) > 0 && got[0].AsFunction() != nil {
			s.Call(got[0], vm.Number(n))
			s.Call(got[0])
		}
	})
}
