package shdict

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }
func str(s string) Value              { return Value{Kind: String, Str: s} }
func num(n float64) Value             { return Value{Kind: Number, Num: n} }
func dict(size int64) (*Dict, *clock) {
	c := &clock{time.Unix(1e9, 0)}
	return newDict("dogs", size, c.now), c
}
func want(t *testing.T, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
func wantErr(t *testing.T, err, e error) {
	t.Helper()
	if !errors.Is(err, e) {
		t.Errorf("got %v, want %v", err, e)
	}
}

// The number is nginx's: 22 pages of 16 objects in a zone of 100k.
func TestAFullDictForgetsTheOldest(t *testing.T) {
	d, _ := dict(100 << 10)
	for i := 1; ; i++ {
		if i == 10 {
			d.Get("key_1")
		}
		forcible, err := d.Store(0, fmt.Sprintf("key_%d", i), str(strings.Repeat(" hello", 10)+fmt.Sprint(i)), 0, 0)
		wantErr(t, err, nil)
		if forcible {
			want(t, i, 353)
			break
		}
	}
	v, _, _ := d.Get("key_1")
	want(t, v.Kind, String)
	v, _, _ = d.Get("key_2")
	want(t, v.Kind, None)
}

func TestSafeStoreLeavesOthersAlone(t *testing.T) {
	d, _ := dict(100 << 10)
	for i := 1; ; i++ {
		_, err := d.Store(Safe, fmt.Sprintf("key_%d", i), str(strings.Repeat(" hello", 10)+fmt.Sprint(i)), 0, 0)
		if err != nil {
			wantErr(t, err, ErrNoMemory)
			want(t, i, 353)
			break
		}
	}
	v, _, _ := d.Get("key_1")
	want(t, v.Kind, String)
}

func TestAValueThatCanNeverFitPushesNothingOutOfAnEmptyDict(t *testing.T) {
	d, _ := dict(100 << 10)
	forcible, err := d.Store(0, "foo", str(strings.Repeat("helloworld", 10000)), 0, 0)
	wantErr(t, err, ErrNoMemory)
	want(t, forcible, false)
}

func TestKeysDieAndCanBeReadStale(t *testing.T) {
	d, c := dict(100 << 10)
	d.Store(0, "a", num(1), time.Second, 7)
	d.Store(0, "b", num(2), 0, 0)
	ttl, _ := d.TTL("a")
	want(t, ttl, time.Second)
	c.pass(1500 * time.Millisecond)
	_, flags, stale, _ := d.GetStale("a")
	want(t, flags, uint32(7))
	want(t, stale, true)
	ttl, err := d.TTL("a")
	wantErr(t, err, nil)
	want(t, ttl, -500*time.Millisecond)
	want(t, len(d.Keys(0)), 1)
	want(t, d.FlushExpired(0), 1)
	_, err = d.TTL("a")
	wantErr(t, err, ErrNotFound)
	wantErr(t, d.Expire("b", time.Second), nil)
	c.pass(time.Second)
	v, _, _ := d.Get("b")
	want(t, v.Kind, None)
}

func TestAddReplaceAndDelete(t *testing.T) {
	d, c := dict(100 << 10)
	_, err := d.Store(Replace, "k", num(1), 0, 0)
	wantErr(t, err, ErrNotFound)
	_, err = d.Store(Add, "k", num(1), time.Second, 0)
	wantErr(t, err, nil)
	_, err = d.Store(Add, "k", num(2), 0, 0)
	wantErr(t, err, ErrExists)
	c.pass(time.Second)
	_, err = d.Store(Add, "k", str("two"), 0, 0)
	wantErr(t, err, nil)
	_, err = d.Store(0, "k", Value{}, 0, 0)
	wantErr(t, err, nil)
	_, err = d.Store(Add, "k", Value{}, 0, 0)
	wantErr(t, err, ErrNilValue)
	want(t, len(d.keys), 0)
}

func TestIncr(t *testing.T) {
	d, c := dict(100 << 10)
	_, _, err := d.Incr("n", 1, nil, 0)
	wantErr(t, err, ErrNotFound)
	init := 10.0
	sum, _, err := d.Incr("n", 1, &init, time.Second)
	wantErr(t, err, nil)
	want(t, sum, 11.0)
	sum, _, _ = d.Incr("n", 0.5, nil, 0)
	want(t, sum, 11.5)
	c.pass(time.Second)
	sum, _, _ = d.Incr("n", 1, &init, 0)
	want(t, sum, 11.0)
	d.Store(0, "s", str("x"), 0, 0)
	_, _, err = d.Incr("s", 1, &init, 0)
	wantErr(t, err, ErrNotNumber)
}

func TestListsAreTwoEnded(t *testing.T) {
	d, _ := dict(100 << 10)
	for i := range 500 {
		d.Push("l", num(float64(i)), i%2 == 0)
	}
	n, _ := d.Len("l")
	want(t, n, 500)
	v, _ := d.Pop("l", true)
	want(t, v.Num, 498.0)
	v, _ = d.Pop("l", false)
	want(t, v.Num, 499.0)
	_, _, err := d.Get("l")
	wantErr(t, err, ErrIsList)
	free := d.FreeSpace()
	for range 498 {
		d.Pop("l", true)
	}
	v, err = d.Pop("l", true)
	wantErr(t, err, nil)
	want(t, v.Kind, None)
	if d.FreeSpace() <= free {
		t.Error("an empty list gives its pages back")
	}
	d.Store(0, "s", str("x"), 0, 0)
	_, err = d.Push("s", num(1), true)
	wantErr(t, err, ErrNotList)
	_, err = d.Pop("s", true)
	wantErr(t, err, ErrNotList)
	_, err = d.Len("s")
	wantErr(t, err, ErrNotList)
}

func TestPushIntoAFullDictFails(t *testing.T) {
	d, _ := dict(20 << 10)
	for {
		if _, err := d.Push("l", str(strings.Repeat("x", 100)), true); err != nil {
			wantErr(t, err, ErrNoMemory)
			break
		}
	}
	if n, _ := d.Len("l"); n == 0 {
		t.Error("what fitted stays")
	}
}

// Whatever is stored and dropped, the account of pages comes out even.
func TestNothingLeaksFromTheAccount(t *testing.T) {
	d, c := dict(200 << 10)
	free := d.FreeSpace()
	for i := range 20000 {
		key := fmt.Sprint("k", i*7919%301)
		switch i % 7 {
		case 0, 1, 2:
			d.Store(0, key, str(strings.Repeat("v", i*31%9000)), time.Duration(i%3)*time.Second, 0)
		case 3:
			d.Push("l"+key, str(strings.Repeat("e", i%400)), i%2 == 0)
		case 4:
			d.Pop("l"+key, i%3 == 0)
		case 5:
			init := 0.0
			d.Incr("n"+key, 1, &init, 0)
		case 6:
			d.Store(0, key, Value{}, 0, 0)
		}
		c.pass(10 * time.Millisecond)
	}
	d.FlushAll()
	d.FlushExpired(0)
	want(t, d.FreeSpace(), free)
	want(t, len(d.keys), 0)
}

func TestManyGoroutinesCountRight(t *testing.T) {
	z := NewZones(map[string]int64{"c": 100 << 10}, nil)
	init := 0.0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				z.Dict("c").Incr("n", 1, &init, 0)
			}
		})
	}
	wg.Wait()
	v, _, _ := z.Dict("c").Get("n")
	want(t, v.Num, 4000.0)
}

func BenchmarkGet(b *testing.B) {
	d := NewZones(map[string]int64{"c": 10 << 20}, nil).Dict("c")
	d.Store(0, "key", str("value"), 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		d.Get("key")
	}
}

func BenchmarkSetWhenFull(b *testing.B) {
	d := NewZones(map[string]int64{"c": 1 << 20}, nil).Dict("c")
	keys := make([]string, 20000)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	i := 0
	for b.Loop() {
		d.Store(0, keys[i%len(keys)], str("value"), 0, 0)
		i++
	}
}
