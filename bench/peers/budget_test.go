package main

import (
	"testing"
	"time"
)

func TestSamplesBelongToWhoWantedThem(t *testing.T) {
	shares, total := split([]byte(`File: sluice
Type: cpu
Duration: 4s, Total samples = 60ms
-----------+-------------------------------------------------------
      10ms   internal/runtime/syscall/linux.Syscall6
             net.(*conn).Write
             sluice/cachesync/pipeline.(*conn).writeOnce
             sluice/cachesync/memcache.(*Client).Do
             sluice/lua/vm.(*activation).execute
-----------+-------------------------------------------------------
      20ms   sluice/lua/vm.(*Table).findStr
             sluice/gateway.(*Gateway).serve
-----------+-------------------------------------------------------
      30ms   runtime.memmove (inline)
             bufio.(*Writer).Flush
             github.com/valyala/fasthttp.(*Server).serveConn
-----------+-------------------------------------------------------
`))
	if total != 60*time.Millisecond || shares["backend connections"] != 10*time.Millisecond || shares["Lua"] != 20*time.Millisecond || shares["HTTP"] != 30*time.Millisecond {
		t.Errorf("%v of %s", shares, total)
	}
}
