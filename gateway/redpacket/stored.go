package redpacket

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"sluice/gateway/ledger"
)

// spec is a red packet as it was funded, in the form that Redis and ledger keep: all that
// is needed to build it again, but for the seed.
type spec struct {
	ID           string   `json:"id"`
	Sender       string   `json:"sender"`
	Amount       int64    `json:"amount"`
	Count        int64    `json:"count"`
	Mode         string   `json:"mode"`
	Audience     string   `json:"audience"`
	Lock         string   `json:"lock"`
	Min          int64    `json:"min"`
	Max          int64    `json:"max"`
	OpensMS      int64    `json:"opens_ms"`
	ClosesMS     int64    `json:"closes_ms"`
	Password     string   `json:"password,omitempty"` // hash
	List         []string `json:"list,omitempty"`
	Prizes       []Prize  `json:"prizes,omitempty"`
	Cap          int64    `json:"cap,omitempty"`
	WinnerHashes int64    `json:"parts"`            // how many winners' hashes each part has; not the parts of a spread one
	Spread       int64    `json:"spread,omitempty"` // parts it is spread over; 0: not spread
	Hash         string   `json:"hash"`             // of the request
	FundedMS     int64    `json:"funded_ms"`
}

// makeSpec fixes what the request left open. parts is over how many it is spread; 0 and 1: over none.
func makeSpec(ids *IDs, id ID, r *FundRequest, parts, nowMS int64) spec {
	s := spec{
		ID: id.String(), Sender: r.Sender, Amount: r.Amount, Count: r.Count, Mode: r.Mode, Audience: r.Audience, Lock: LockNone,
		Min: r.Min, Max: r.Max, OpensMS: r.OpensAt, ClosesMS: r.ClosesAt, List: r.List, Prizes: r.Prizes, Cap: r.Cap,
		WinnerHashes: winnerHashesFor(r.Count / max(1, parts)), Hash: r.Hash(), FundedMS: nowMS,
	}
	if parts > 1 {
		s.Spread = parts
	}
	if r.Mode == ModePortal {
		s.WinnerHashes = max(portalHashes, s.WinnerHashes)
	}
	if s.ClosesMS == 0 {
		s.ClosesMS = max(nowMS, s.OpensMS) + DefaultOpenFor.Milliseconds()
	}
	if r.Password != "" {
		s.Lock, s.Password = LockPassword, ids.passwordHash(id, r.Password)
	}
	return s
}

func (s *spec) json() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and integers only
	}
	return b
}

func parseSpec(b []byte) (spec, error) {
	var s spec
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("redpacket: the stored spec of a red packet does not parse: %w", err)
	}
	return s, nil
}

// width is the number of digits of a share in the shares string.
func (s *spec) width() int64 { return int64(len(strconv.FormatInt(s.Max, 10))) }

// expiry is when its records may be forgotten, Unix seconds.
func (s *spec) expiry() int64 { return s.ClosesMS/1000 + int64(recordAfterClose/time.Second) }

// forLedger is its row.
func (s *spec) forLedger(home uint8, bucket int, seed, commit [32]byte) ledger.RedPacket {
	hash, _ := hex.DecodeString(s.Hash)
	rp := ledger.RedPacket{
		ID: s.ID, Sender: s.Sender, Home: int(home), Bucket: bucket, Mode: s.Mode, Audience: s.Audience, Lock: s.Lock,
		Amount: s.Amount, Count: int(s.Count), Min: s.Min, Max: s.Max,
		ClosesAt: time.UnixMilli(s.ClosesMS), CreatedAt: time.UnixMilli(s.FundedMS),
		Seed: seed[:], SeedHash: commit[:], Spec: s.json(), BodyHash: hash,
	}
	if s.OpensMS > 0 {
		rp.OpensAt = time.UnixMilli(s.OpensMS)
	}
	return rp
}

// fields are the hash's fields as funding writes them, state p.
func (s *spec) fields() []string {
	flag := func(b bool) string {
		if b {
			return "1"
		}
		return "0"
	}
	return []string{
		"h", s.Hash, "s", "p", "k", "0", "n", text64(s.Count), "w", text64(s.width()), "la", text64(s.Amount),
		"q", "0", "qa", "0", "o", text64(s.OpensMS), "c", text64(s.ClosesMS), "ot", "0", "wp", text64(s.WinnerHashes),
		"x", text64(s.expiry()), "a", flag(s.Audience == AudienceList), "lk", flag(s.Lock == LockPassword),
		"fa", flag(s.Audience == AudienceFans), "cm", "", "sd", "", "f", "0", "fix", s.fix(), "spec", string(s.json()),
		"own", s.Sender, "et", "0", "ek", "0",
	}
}

// hashBytes is the request's hash as the ledger keeps it.
func (s *spec) hashBytes() []byte {
	b, _ := hex.DecodeString(s.Hash)
	return b
}
