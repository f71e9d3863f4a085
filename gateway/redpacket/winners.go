package redpacket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// pageSize is the most winners of one page.
const pageSize = 1000

// Winners implements Desk. A red packet of up to winnerSplit shares is listed by share; a
// larger one group of hashes by group, by share within each, and a spread one part by part. The
// page names group and place in it.
func (d *Home) Winners(ctx context.Context, id ID, page string) (WinnersPage, error) {
	st, err := d.Show(ctx, id)
	if err != nil {
		return WinnersPage{}, err
	}
	group := hashGroup(st.winnerHashes)
	groups := (st.winnerHashes + group - 1) / group
	all := groups * st.spread
	h, from, err := parsePage(page, all)
	if err != nil {
		return WinnersPage{}, err
	}
	for ; h < all; h++ {
		list, err := d.h.winnersOf(ctx, id, int(h/groups), h%groups*group, st.winnerHashes)
		if err != nil {
			return WinnersPage{}, err
		}
		if from >= len(list) {
			from = 0
			continue
		}
		out := WinnersPage{Winners: list[from:min(from+pageSize, len(list))]}
		switch {
		case from+pageSize < len(list):
			out.Next = fmt.Sprintf("%d.%d", h, from+pageSize)
		case h+1 < all:
			out.Next = fmt.Sprintf("%d.0", h+1)
		}
		return out, nil
	}
	return WinnersPage{}, nil
}

func parsePage(page string, groups int64) (h int64, from int, err error) {
	if page == "" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(page, ".")
	h, err1 := strconv.ParseInt(a, 10, 32)
	n, err2 := strconv.ParseInt(b, 10, 32)
	if err1 != nil || err2 != nil || h < 0 || h > groups || n < 0 {
		return 0, 0, fieldError("page", CodeInvalid, "is not one that an earlier page named as next")
	}
	return h, int(n), nil
}

// winnersOf reads the group of winners' hashes of a part that begins with first, in the order of shares.
func (h *House) winnersOf(ctx context.Context, id ID, part int, first, hashes int64) ([]Winner, error) {
	k := &h.keys[id.PartBucket(part)]
	text := id.String()
	all, err := h.readGroup(ctx, k, text, first, hashes, func(pipe redis.Pipeliner, key string) { pipe.HGetAll(ctx, key) })
	if err != nil {
		return nil, err
	}
	opened, err := h.control.HGet(ctx, k.part(text, part), "ot").Int64()
	if err == redis.Nil && part > 0 {
		return nil, nil // not set up yet
	}
	if err != nil {
		return nil, scriptError(err)
	}
	var list []Winner
	for _, hash := range all {
		for who, value := range hash.(*redis.MapStringStringCmd).Val() {
			w, ok, err := parseWinner(who, value, opened)
			if err != nil {
				return nil, fmt.Errorf("winners of %s: %w", text, err)
			}
			if ok {
				list = append(list, w)
			}
		}
	}
	slices.SortFunc(list, func(a, b Winner) int { return int(a.Share - b.Share) })
	return list, nil
}

// readGroup reads a group of winners' hashes in one go.
func (h *House) readGroup(ctx context.Context, k *keys, id string, first, hashes int64, read func(pipe redis.Pipeliner, key string)) ([]redis.Cmder, error) {
	all, err := h.control.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for one := first; one < min(first+hashGroup(hashes), hashes); one++ {
			read(pipe, k.winnersHash(id, one, hashes))
		}
		return nil
	})
	return all, scriptError(err)
}

// parseWinner reads an entry of a winners' hash. In a portal who is "uid|n", a draw that met no
// prize is "-", and "uid|" counts a user's draws: ok is false for these two.
func parseWinner(who, value string, openedMS int64) (w Winner, ok bool, err error) {
	uid, n, portal := strings.Cut(who, "|")
	if value == "-" || portal && n == "" {
		return w, false, nil
	}
	o, since, err := parseWin(value)
	if err != nil {
		return w, false, err
	}
	w = Winner{UID: uid, N: n, Share: o.Share, Amount: o.Amount, WonAt: openedMS + since}
	w.Prize = o.Prize
	return w, true, nil
}
