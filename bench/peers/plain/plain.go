package plain

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// Verb is the first argument that makes the program this server.
const Verb = "plain-server"

type server struct {
	mc     *memcache.Client
	rdb    *redis.Client
	sha    string
	secret []byte
	mu     sync.RWMutex
	seen   map[string]claims // bounded: emptied when full
}

type claims struct {
	uid string
	exp int64
}

const maxSeen = 100_000

var errToken = errors.New("token is not valid")

// Main serves until it is told to stop.
func Main(args []string) error {
	fs := flag.NewFlagSet(Verb, flag.ContinueOnError)
	listen := fs.String("listen", "", "")
	mc := fs.String("memcached", "", "")
	rd := fs.String("redis", "", "")
	s := &server{seen: map[string]claims{}}
	fs.StringVar(&s.sha, "sha", "", "")
	secret := fs.String("secret", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s.secret = []byte(*secret)
	s.mc = memcache.New(*mc)
	s.mc.MaxIdleConns, s.mc.Timeout = 1024, 2*time.Second
	s.rdb = redis.NewClient(&redis.Options{Addr: *rd, MaxRetries: -1, PoolSize: 128})
	srv := &fasthttp.Server{Handler: s.handle, Concurrency: 20000}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() { <-ctx.Done(); _ = srv.Shutdown() }()
	return srv.ListenAndServe(*listen)
}

func (s *server) handle(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	parts := strings.Split(strings.Trim(string(ctx.Path()), "/"), "/")
	switch {
	case parts[0] == "hello":
		ctx.SetBodyString("hello")
	case parts[0] == "get" && len(parts) == 2:
		it, err := s.mc.Get("k:" + parts[1])
		if err != nil {
			ctx.SetStatusCode(404)
			return
		}
		ctx.SetBody(it.Value)
	case len(parts) == 4 && parts[3] == "draw":
		s.asUser(ctx, func(uid string) { s.draw(ctx, uid, parts[2]) })
	case len(parts) == 4 && parts[3] == "enter":
		s.asUser(ctx, func(uid string) { s.enter(ctx, uid, parts[2]) })
	default:
		ctx.SetStatusCode(404)
	}
}

func (s *server) asUser(ctx *fasthttp.RequestCtx, do func(uid string)) {
	uid, err := s.check(strings.TrimPrefix(string(ctx.Request.Header.Peek("Authorization")), "Bearer "))
	if err != nil {
		s.answer(ctx, 401, map[string]any{"error": map[string]any{"code": "unauthorized", "message": err.Error()}})
		return
	}
	do(uid)
}

func (s *server) check(text string) (string, error) {
	s.mu.RLock()
	c, ok := s.seen[text]
	s.mu.RUnlock()
	if !ok {
		tok, err := jwt.Parse(text, func(t *jwt.Token) (any, error) {
			if t.Header["kid"] != "k1" {
				return nil, errToken
			}
			return s.secret, nil
		}, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
		if err != nil {
			return "", fmt.Errorf("%w: %w", errToken, err)
		}
		exp, err := tok.Claims.GetExpirationTime()
		if err != nil {
			return "", errToken
		}
		sub, err := tok.Claims.GetSubject()
		if err != nil || !validUID(sub) {
			return "", errToken
		}
		c = claims{sub, exp.Unix()}
		s.mu.Lock()
		if len(s.seen) >= maxSeen {
			clear(s.seen)
		}
		s.seen[text] = c
		s.mu.Unlock()
	}
	if c.exp < time.Now().Unix() {
		return "", errToken
	}
	return c.uid, nil
}

// validUID keeps uids from breaking out of cache keys, as the others do.
func validUID(uid string) bool {
	for _, c := range uid {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return uid != "" && len(uid) <= 64
}

func (s *server) answer(ctx *fasthttp.RequestCtx, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status = 500
	}
	ctx.SetStatusCode(status)
	ctx.SetBody(text)
}

func (s *server) later(ctx *fasthttp.RequestCtx, err error) {
	s.answer(ctx, 503, map[string]any{"error": map[string]any{"code": "later", "message": err.Error()}})
}

type user struct {
	Blocked bool `json:"blocked"`
}

func (s *server) draw(ctx *fasthttp.RequestCtx, uid, id string) {
	rpKey, wonKey, userKey := "rp:"+id, "w:"+id+":"+uid, "u:"+uid
	found, err := s.mc.GetMulti([]string{userKey, rpKey, wonKey})
	if err != nil {
		s.later(ctx, err)
		return
	}
	var u user
	if it := found[userKey]; it != nil && json.Unmarshal(it.Value, &u) == nil && u.Blocked {
		s.answer(ctx, 403, map[string]any{"error": map[string]any{"code": "blocked"}})
		return
	}
	if it := found[wonKey]; it != nil {
		var w struct{ Amount, Share int64 }
		if json.Unmarshal(it.Value, &w) == nil {
			s.answer(ctx, 200, outcome{"already", &w.Amount, &w.Share})
			return
		}
	}
	var rp struct {
		State   string `json:"state"`
		OpensAt int64  `json:"opens_at"`
	}
	if it := found[rpKey]; it != nil && json.Unmarshal(it.Value, &rp) == nil && time.Now().UnixMilli()+500 < rp.OpensAt {
		s.answer(ctx, 200, outcome{Outcome: "notopen"})
		return
	}
	tag := "{b07}:"
	reply, err := s.rdb.EvalSha(ctx, s.sha, []string{tag + "meta", tag + "log", tag + "win", tag + "rp:" + id, tag + "sh:" + id, tag + "w:" + id}, id, uid).Text()
	if err != nil {
		s.later(ctx, err)
		return
	}
	f := strings.FieldsFunc(reply, func(r rune) bool { return r == '|' || r == ',' })
	o := outcome{Outcome: f[0]}
	if len(f) >= 3 {
		share, _ := strconv.ParseInt(f[1], 10, 64)
		amount, _ := strconv.ParseInt(f[2], 10, 64)
		o.Amount, o.Share = &amount, &share
	}
	s.answer(ctx, 200, o)
}

type outcome struct {
	Outcome string `json:"outcome"`
	Amount  *int64 `json:"amount,omitempty"`
	Share   *int64 `json:"share,omitempty"`
}

func (s *server) enter(ctx *fasthttp.RequestCtx, uid, id string) {
	found, err := s.mc.GetMulti([]string{"rm:" + id, "u:" + uid})
	if err != nil {
		s.later(ctx, err)
		return
	}
	var room struct {
		ID       string         `json:"id"`
		Title    string         `json:"title"`
		State    string         `json:"state"`
		Capacity int64          `json:"capacity"`
		Bans     map[string]any `json:"bans"`
		Push     []string       `json:"push"`
	}
	it := found["rm:"+id]
	if it == nil || json.Unmarshal(it.Value, &room) != nil {
		s.answer(ctx, 404, map[string]any{"error": map[string]any{"code": "not_found"}})
		return
	}
	var u user
	if it := found["u:"+uid]; it != nil {
		_ = json.Unmarshal(it.Value, &u)
	}
	if _, banned := room.Bans[uid]; banned || u.Blocked {
		s.answer(ctx, 403, map[string]any{"error": map[string]any{"code": "banned"}})
		return
	}
	now := time.Now()
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": uid, "scope": "room:" + id, "exp": now.Unix() + 300})
	tok.Header["kid"] = "k1"
	text, err := tok.SignedString(s.secret)
	if err != nil {
		s.later(ctx, err)
		return
	}
	s.answer(ctx, 200, map[string]any{"room": map[string]any{"id": room.ID, "title": room.Title, "state": room.State, "capacity": room.Capacity},
		"push": room.Push, "token": text, "token_until": now.UnixMilli() + 300000, "now": now.UnixMilli()})
}
