package record

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func hits(r *Recorder, seed uint64, n int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := []string{"won", "soldout", ""}
	r.Lock()
	defer r.Unlock()
	for range n {
		at := rnd.Int64N(int64(3 * time.Second))
		h := Hit{Step: rnd.IntN(2), Intended: at, Taken: at + rnd.Int64N(1e5), Status: 200, Size: rnd.Int64N(500), Outcome: []byte(words[rnd.IntN(3)])}
		h.Sent = h.Taken + rnd.Int64N(1e5)
		h.At = h.Sent + rnd.Int64N(1e8)
		if rnd.IntN(20) == 0 {
			h.Err = 1 + rnd.IntN(3)
		}
		r.Arrive()
		r.Add(&h)
	}
}

func TestMergingWorkersEqualsOneWorkerWithAllHits(t *testing.T) {
	run := func(seeds ...uint64) *Result {
		var rs []*Recorder
		for _, s := range seeds {
			r := New(2, 0, 3*time.Second, 100*time.Millisecond)
			hits(r, s, 5000)
			rs = append(rs, r)
		}
		return Gather(rs, []string{"show", "draw"}, 3*time.Second)
	}
	whole := run(1, 2)
	var parts []*Result
	for _, s := range []uint64{1, 2} {
		text, err := json.Marshal(run(s))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Valid = true
		parts = append(parts, r)
	}
	merged, err := Merge(parts)
	if err != nil {
		t.Fatal(err)
	}
	ignore := []cmp.Option{cmpopts.IgnoreUnexported(Quantiles{}), cmpopts.IgnoreFields(Result{}, "Workers", "Valid", "Bytes"),
		cmpopts.IgnoreFields(Quantiles{}, "Hist"), cmpopts.IgnoreFields(Step{}, "SizeHist"), cmpopts.IgnoreFields(Point{}, "Hist"), cmpopts.EquateApprox(1e-6, 0)}
	if d := cmp.Diff(whole, merged, ignore...); d != "" {
		t.Errorf("one worker against two merged (-one +merged):\n%s", d)
	}
	if merged.Latency.At(99) != whole.Latency.At(99) {
		t.Errorf("p99 %g, merged %g", whole.Latency.At(99), merged.Latency.At(99))
	}
}

func TestOnlyRequestsIntendedInsideTheMeasuredPartCount(t *testing.T) {
	r := New(1, time.Second, 2*time.Second, 100*time.Millisecond)
	for _, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 1999 * time.Millisecond, 2 * time.Second} {
		r.Add(&Hit{Intended: int64(at), Taken: int64(at), Sent: int64(at), At: int64(at) + 1000})
	}
	if res := Gather([]*Recorder{r}, []string{"x"}, time.Second); res.Requests != 2 {
		t.Errorf("%d requests counted, want 2", res.Requests)
	}
}

func TestAServerOfRandomWordsCannotFillTheMemory(t *testing.T) {
	r := New(1, 0, time.Second, time.Second)
	for i := range 1000 {
		r.Add(&Hit{Outcome: []byte{'x', byte('a' + i%26), byte('a' + i/26)}})
	}
	res := Gather([]*Recorder{r}, []string{"x"}, time.Second)
	if n := len(res.Outcomes); n > maxOutcomes+1 || res.Outcomes["other"] == 0 {
		t.Errorf("%d words kept, %d others", n, res.Outcomes["other"])
	}
}

func TestOtherSchemasAreRefused(t *testing.T) {
	for _, text := range []string{`{"schema":"sluice.bench/2"}`, `{}`, `[]`, `x`,
		`{"schema":"sluice.bench/1","lag":{"hist":"HISTx"}}`, `{"schema":"sluice.bench/1","steps":[{"latency":{"hist":"x"}}]}`,
		`{"schema":"sluice.bench/1","series":[{"hist":"x"}]}`, `{"schema":"sluice.bench/1","steps":[{"size_hist":"x"}]}`} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDecodeAndMergeNeverPanic(f *testing.F) {
	r := New(1, 0, time.Second, time.Second)
	r.Add(&Hit{At: 5})
	text, _ := json.Marshal(Gather([]*Recorder{r}, []string{"x"}, time.Second))
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		if res, err := Decode(b); err == nil {
			_, _ = Merge([]*Result{res, res})
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	r := New(1, 0, time.Hour, time.Second)
	h := Hit{Intended: 5, Taken: 10, Sent: 20, At: 100000, Status: 200, Outcome: []byte("won"), Size: 40}
	b.ReportAllocs()
	for b.Loop() {
		r.Add(&h)
	}
}

func TestOnlyWorkersOfOneRunAreMerged(t *testing.T) {
	at := time.Date(2027, 2, 5, 12, 0, 0, 0, time.UTC)
	f := func(want bool, a, b Result) {
		t.Helper()
		sum, err := Merge([]*Result{&a, &b})
		if (err == nil) != want {
			t.Errorf("%v", err)
		}
		if want && (sum.Rehearsal == nil || sum.Rehearsal.Funded != 3 || len(sum.Rehearsal.Left) != 1) {
			t.Errorf("the sum's rehearsal is %+v", sum.Rehearsal)
		}
	}
	one := Result{Started: at, Rehearsal: &Rehearsal{Funded: 1}}
	f(true, one, Result{Started: at.Add(time.Second), Rehearsal: &Rehearsal{Funded: 2, Left: []string{"rp1"}}})
	f(false, one, Result{Started: at.Add(time.Minute)})
	f(false, one, Result{Started: at, FindMax: &FindMax{}})
}
