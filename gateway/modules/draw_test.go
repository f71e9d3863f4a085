package modules

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"

	"sluice/gateway/redpacket"
	"sluice/gateway/token"
	"sluice/lua"
)

// soldOut is a Desk that knows of one red packet, of which nothing is left.
type soldOut struct{ redpacket.Desk }

func (soldOut) Look(_ context.Context, _ redpacket.ID, _ string, seen *redpacket.Seen) error {
	*seen = redpacket.Seen{Now: 1, Found: true, NoWin: true, State: redpacket.State{State: redpacket.StateSoldOut, Mode: redpacket.ModeEqual, Count: 1}}
	return nil
}

// notKnown is a Desk in a region whose user source does not answer.
type notKnown struct {
	redpacket.Desk
	won   bool // by this user, as the cache knows
	draws int
}

func (d *notKnown) Look(_ context.Context, _ redpacket.ID, _ string, seen *redpacket.Seen) error {
	*seen = redpacket.Seen{Now: 1, Found: true, UserLater: true, WinFound: d.won,
		Win: redpacket.Outcome{Kind: redpacket.Already, Amount: 7}, State: redpacket.State{State: redpacket.StateOpen, Mode: redpacket.ModeEqual, Count: 1}}
	return nil
}

func (d *notKnown) Draw(context.Context, redpacket.DrawRequest) (redpacket.Outcome, error) {
	d.draws++
	return redpacket.Outcome{Kind: redpacket.Won}, nil
}

func TestNobodyDrawsWhileItIsNotKnownWhetherHeIsBlocked(t *testing.T) {
	desk := &notKnown{}
	serve, ctx := drawHandler(t, desk)
	serve()
	if ctx.Response.StatusCode() != 503 || len(ctx.Response.Header.Peek("Retry-After")) == 0 || desk.draws != 0 {
		t.Errorf("%d %s, %d draws", ctx.Response.StatusCode(), ctx.Response.Body(), desk.draws)
	}
	desk.won = true // what he has won already is told all the same
	serve()
	if body := string(ctx.Response.Body()); ctx.Response.StatusCode() != 200 || !strings.Contains(body, "already") {
		t.Errorf("%d %s", ctx.Response.StatusCode(), body)
	}
}

// BenchmarkLosingDraw is what the scripts of a losing draw cost beside HTTP and the look itself.
func BenchmarkLosingDraw(b *testing.B) {
	serve, ctx := drawHandler(b, soldOut{})
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
	if body := string(ctx.Response.Body()); !strings.Contains(body, "soldout") {
		b.Fatal(body)
	}
}

// drawHandler is scripts/redpacket_draw.lua in front of a Desk; serve answers ctx anew.
func drawHandler(b testing.TB, desk redpacket.Desk) (serve func(), ctx *fasthttp.RequestCtx) {
	secret := []byte("a secret of 32 bytes for the test")
	ring, err := token.NewRing([]token.Key{{ID: "k", Algorithm: "HS256", Secret: string(secret)}}, 0, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	ids, err := redpacket.NewIDs([]byte("a secret of 16 bytes or more"))
	if err != nil {
		b.Fatal(err)
	}
	rt := lua.NewRuntime(lua.Config{Modules: All(Deps{Tokens: ring, Desk: desk, IDs: ids, Now: time.Now})})
	files := map[string]string{}
	for _, name := range []string{"access/auth.lua", "redpacket_draw.lua", "lib/answer.lua"} {
		text, err := os.ReadFile(filepath.Join("../../scripts", name))
		if err != nil {
			b.Fatal(err)
		}
		files[name] = string(text)
	}
	bundle, err := rt.Load(files, nil)
	if err != nil {
		b.Fatal(err)
	}
	bound, err := bundle.Handler(lua.Handler{Route: "draw", Access: []string{"access/auth.lua"}, Content: "redpacket_draw.lua"})
	if err != nil {
		b.Fatal(err)
	}
	claims := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u1", "exp": time.Now().Add(time.Hour).Unix()})
	claims.Header["kid"] = "k"
	bearer, err := claims.SignedString(secret)
	if err != nil {
		b.Fatal(err)
	}
	ctx = new(fasthttp.RequestCtx)
	var req fasthttp.Request
	req.SetRequestURI("/v1/redpackets/x/draw")
	req.Header.SetMethod("POST")
	req.Header.SetHost("localhost")
	req.Header.Set("Authorization", "Bearer "+bearer)
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	params := lua.Params{{Name: "id", Value: ids.Derive(1, "sender", "key").String()}}
	return func() {
		ctx.Response.Reset()
		bound.Serve(ctx, params)
	}, ctx
}
