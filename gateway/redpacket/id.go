package redpacket

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"hash"
	"io"
	"sync"
)

// Buckets is the number of buckets of a home. It is part of every id: never change it.
const Buckets = 64

// IDLen is the length of an id's text.
const IDLen = 24

// ID names a red packet:
//
//	byte 0      home
//	byte 1      bucket, 0..63
//	bytes 2-11  80 random bits, or bits derived from (sender, Idempotency-Key)
//	bytes 12-14 24 bits of a MAC over the rest
//
// A made-up id fails its MAC once in 16.7 million tries, so guessing costs no I/O here.
// The text form is 24 characters of lower-case base32 without padding.
type ID [15]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Home is the region that owns the red packet.
func (id ID) Home() uint8 { return id[0] }

// Bucket is the bucket of its home, 0..63.
func (id ID) Bucket() int { return int(id[1]) }

// String is the text form.
func (id ID) String() string {
	var b [IDLen]byte
	idEncoding.Encode(b[:], id[:])
	return string(b[:])
}

// Append appends the text form.
func (id ID) Append(dst []byte) []byte { return idEncoding.AppendEncode(dst, id[:]) }

// IDs makes and checks the ids of one house. All regions share the secret.
type IDs struct {
	mac    [32]byte
	derive [32]byte
	pass   [32]byte
}

// NewIDs derives the keys of its three uses (ids, idempotency, passwords) from one secret,
// which must be at least 16 bytes.
func NewIDs(secret []byte) (*IDs, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("redpacket: the id secret has %d bytes; give at least 16 random ones", len(secret))
	}
	key := func(use string) (out [32]byte) {
		h := hmac.New(sha256.New, secret)
		io.WriteString(h, use)
		h.Sum(out[:0])
		return out
	}
	return &IDs{mac: key("red packet id"), derive: key("red packet idempotency"), pass: key("red packet password")}, nil
}

// seal writes the MAC. One SHA-256 block over key and a body of fixed length: with both
// lengths fixed and the sum cut to 24 bits there is nothing to extend, and it costs 60 ns
// and no allocation, which the draw cares about.
func (ids *IDs) seal(id *ID) {
	sum := ids.sum(id)
	copy(id[12:], sum[:])
}

func (ids *IDs) sum(id *ID) (out [3]byte) {
	s := sealings.Get().(*sealing)
	defer sealings.Put(s)
	copy(s.block[:32], ids.mac[:])
	copy(s.block[32:], id[:12])
	s.hash.Reset()
	s.hash.Write(s.block[:])
	copy(out[:], s.hash.Sum(s.sum[:0]))
	return out
}

// sealing is what a sum is made in. sha256.Sum256 does without only as long as the compiler
// sees through it, which it does not when it builds with a profile: that were three pieces of
// garbage for each draw.
type sealing struct {
	hash  hash.Hash
	block [44]byte
	sum   [sha256.Size]byte
}

var sealings = sync.Pool{New: func() any { return &sealing{hash: sha256.New()} }}

// New makes an id in a random bucket of the home.
func (ids *IDs) New(home uint8, random io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(random, id[1:12]); err != nil {
		return id, fmt.Errorf("redpacket: reading random bits for an id: %w", err)
	}
	id[0] = home
	id[1] %= Buckets
	ids.seal(&id)
	return id, nil
}

// Derive makes the id that (sender, key) always gives, so that a repeated request is the
// same red packet wherever it arrives.
func (ids *IDs) Derive(home uint8, sender, key string) ID {
	h := hmac.New(sha256.New, ids.derive[:])
	io.WriteString(h, sender)
	h.Write([]byte{'|'}) // a uid has no '|': the pair cannot be cut elsewhere
	io.WriteString(h, key)
	var sum [32]byte
	h.Sum(sum[:0])
	var id ID
	copy(id[1:12], sum[:])
	id[0] = home
	id[1] %= Buckets
	ids.seal(&id)
	return id
}

// Parse reads the text form and checks the MAC. It does no I/O and does not allocate.
// Anything else than an id of this house is ErrNotFound.
func (ids *IDs) Parse(text string) (ID, error) {
	var id ID
	if len(text) != IDLen {
		return id, ErrNotFound
	}
	var src [IDLen]byte
	copy(src[:], text)
	if n, err := idEncoding.Decode(id[:], src[:]); err != nil || n != len(id) {
		return ID{}, ErrNotFound
	}
	want := ids.sum(&id)
	if subtle.ConstantTimeCompare(want[:], id[12:]) != 1 || id[1] >= Buckets {
		return ID{}, ErrNotFound
	}
	return id, nil
}

// passwordHash is what is stored of a password: 16 bytes of HMAC, hex. The key never
// leaves the gateways, so a stolen cache or ledger cannot be searched offline; a slow hash
// could not be paid at :00.
func (ids *IDs) passwordHash(id ID, password string) string {
	h := hmac.New(sha256.New, ids.pass[:])
	h.Write(id[:])
	io.WriteString(h, password)
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// passwordMatches compares in constant time.
func (ids *IDs) passwordMatches(id ID, password, stored string) bool {
	return subtle.ConstantTimeCompare([]byte(ids.passwordHash(id, password)), []byte(stored)) == 1
}
