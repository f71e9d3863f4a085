package answer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func FuzzAppendStringIsJSON(f *testing.F) {
	f.Add("plain \"quoted\" \\ \n \x00 \xff é")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func TestLaterTellsNowAndWhen(t *testing.T) {
	now := time.Date(2027, 2, 5, 12, 0, 0, 0, time.UTC)
	for range 100 {
		var ctx fasthttp.RequestCtx
		Later(&ctx, 503, "later", "please come back", now, time.Second)
		var a struct {
			Error   struct{ Code string }
			Now     time.Time
			RetryAt time.Time `json:"retry_at"`
		}
		if err := json.Unmarshal(ctx.Response.Body(), &a); err != nil {
			t.Fatalf("%s: %v", ctx.Response.Body(), err)
		}
		wait := a.RetryAt.Sub(a.Now)
		if a.Error.Code != "later" || !a.Now.Equal(now) || wait < time.Second || wait > 2*time.Second {
			t.Fatalf("%s", ctx.Response.Body())
		}
		if after := string(ctx.Response.Header.Peek("Retry-After")); after != "1" && after != "2" {
			t.Fatalf("Retry-After %q", after)
		}
	}
}
