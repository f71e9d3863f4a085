package redpacket

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"time"
)

// Modes, audiences and locks.
const (
	ModeLucky  = "lucky"
	ModeEqual  = "equal"
	ModePortal = "portal"

	AudienceAnyone = "anyone"
	AudienceFans   = "fans"
	AudienceList   = "list"

	LockNone     = "none"
	LockPassword = "password"
)

// Limits of a request. They keep every product inside int64 and every number of a script
// inside the 53 bits that a double holds exactly.
const (
	MaxAmount      = 10_000_000_000_000 // fen: 100 billion yuan
	MaxCount       = 10_000_000
	MaxShare       = 100_000_000_000 // fen; MaxShare * MaxCount < 2^63
	MaxPassword    = 128             // bytes
	MaxList        = 10_000          // uids of an audience `list`
	MaxPrizes      = 32
	MaxCap         = 1000
	MaxFundBody    = 1 << 20
	DefaultMin     = 50     // fen
	DefaultMax     = 20_000 // fen
	DefaultCap     = 3
	DefaultOpenFor = 24 * time.Hour
	MaxOpenFor     = 90 * 24 * time.Hour
)

// FundRequest is a checked request to fund a red packet.
type FundRequest struct {
	Sender string // uid from the token, never from the body
	Key    string // Idempotency-Key, or ""
	Home   uint8

	Amount   int64 // fen, the total in every mode; 0 only for a portal without cash prizes
	Count    int64
	Mode     string
	Audience string
	Min, Max int64 // fen a share
	OpensAt  int64 // Unix ms, 0: at once
	ClosesAt int64 // Unix ms, 0: DefaultOpenFor after opening
	Password string
	List     []string
	Prizes   []Prize
	Cap      int64
	// Parts is how many buckets it is spread over; 0: as the house decides by its count.
	Parts int64
}

// Prize is a line of a portal's table.
type Prize struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`       // "cash", "coupon", "other"
	Amount    int64  `json:"amount"`     // fen, cash only
	Count     int64  `json:"count"`      // budget: how many there are
	ChancePPM int64  `json:"chance_ppm"` // chance of one draw, in millionths
	// Codes are handed out with a coupon, one each; without them a code is made.
	Codes []string `json:"codes,omitempty"`
}

// ParseFund reads the body of a fund request strictly: an unknown field, a field given
// twice, a number in quotes, with a fraction or an exponent are errors that name the
// field. Sender, Key and Home are for the caller to set.
func ParseFund(body []byte) (FundRequest, error) {
	req := FundRequest{Mode: ModeLucky, Audience: AudienceAnyone, Min: DefaultMin, Max: DefaultMax, Cap: DefaultCap}
	if len(body) > MaxFundBody {
		return req, fieldError("", CodeTooLarge, "the body has %d bytes; at most %d are read", len(body), MaxFundBody)
	}
	fields, err := object(body, "")
	if err != nil {
		return req, err
	}
	given := map[string]bool{}
	for _, f := range fields {
		given[f.name] = true
		if err := req.set(f.name, f.raw); err != nil {
			return req, err
		}
	}
	for _, name := range []string{"amount", "count"} {
		if !given[name] {
			return req, fieldError(name, CodeMissing, "is required")
		}
	}
	if req.Mode != ModePortal {
		for _, name := range []string{"prizes", "cap"} {
			if given[name] {
				return req, fieldError(name, CodeInvalid, "is only for mode portal")
			}
		}
		req.Cap = 0
	} else {
		for _, name := range []string{"min", "max"} {
			if given[name] {
				return req, fieldError(name, CodeInvalid, "mode portal takes its amounts from prizes")
			}
		}
		req.Min, req.Max = 0, 0
	}
	return req, req.check()
}

func (r *FundRequest) set(name string, raw json.RawMessage) (err error) {
	switch name {
	case "amount":
		r.Amount, err = integer(name, raw, 0, MaxAmount)
	case "count":
		r.Count, err = integer(name, raw, 1, MaxCount)
	case "min":
		r.Min, err = integer(name, raw, 1, MaxShare)
	case "max":
		r.Max, err = integer(name, raw, 1, MaxShare)
	case "cap":
		r.Cap, err = integer(name, raw, 1, MaxCap)
	case "parts":
		r.Parts, err = integer(name, raw, 1, MaxParts)
	case "mode":
		r.Mode, err = word(name, raw, ModeLucky, ModeEqual, ModePortal)
	case "audience":
		r.Audience, err = word(name, raw, AudienceAnyone, AudienceFans, AudienceList)
	case "opens_at":
		r.OpensAt, err = instant(name, raw)
	case "closes_at":
		r.ClosesAt, err = instant(name, raw)
	case "password":
		r.Password, err = text(name, raw, 1, MaxPassword)
	case "list":
		r.List, err = uidList(name, raw)
	case "prizes":
		r.Prizes, err = prizes(name, raw)
	default:
		err = fieldError(clip(name), CodeUnknownField, "is not a known field")
	}
	return err
}

// check holds the rules between fields.
func (r *FundRequest) check() error {
	if r.Amount < 1 && r.Mode != ModePortal {
		return fieldError("amount", CodeTooSmall, "must be at least 1")
	}
	if (r.Audience == AudienceList) != (len(r.List) > 0) {
		return fieldError("list", CodeInfeasible, "goes with audience list, with at least one uid")
	}
	if r.ClosesAt != 0 && r.OpensAt != 0 && r.ClosesAt <= r.OpensAt {
		return fieldError("closes_at", CodeInfeasible, "must be later than opens_at")
	}
	if r.ClosesAt != 0 && r.OpensAt != 0 && r.ClosesAt-r.OpensAt > MaxOpenFor.Milliseconds() {
		return fieldError("closes_at", CodeTooLarge, "must be within %d days of opens_at", MaxOpenFor/(24*time.Hour))
	}
	switch {
	case r.Parts > 1 && r.Mode == ModePortal:
		return fieldError("parts", CodeInfeasible, "must be 1 in mode portal: its prizes have common budgets")
	case r.Parts > r.Count:
		return fieldError("parts", CodeTooLarge, "must be at most count (%d)", r.Count)
	}
	if r.Mode == ModePortal {
		return r.checkPrizes()
	}
	if r.Min > r.Max {
		return fieldError("min", CodeInfeasible, "must not be above max (%d)", r.Max)
	}
	if low, high := r.Count*r.Min, r.Count*r.Max; r.Amount < low || r.Amount > high {
		return fieldError("amount", CodeInfeasible,
			"%d cannot be split into %d shares of %d to %d fen; give an amount from %d to %d, or other count or bounds",
			r.Amount, r.Count, r.Min, r.Max, low, high)
	}
	if r.Mode == ModeEqual && r.Amount%r.Count != 0 {
		return fieldError("amount", CodeInfeasible, "%d cannot be shared equally by %d", r.Amount, r.Count)
	}
	return nil
}

func (r *FundRequest) checkPrizes() error {
	if len(r.Prizes) == 0 {
		return fieldError("prizes", CodeMissing, "is required in mode portal")
	}
	var amount, count, chance int64
	named := map[string]bool{}
	for i, p := range r.Prizes {
		if named[p.Name] { // chances are tuned, and what was given is counted, by name
			return fieldError(fmt.Sprintf("prizes[%d].name", i), CodeInvalid, "is %s, as an earlier prize's", p.Name)
		}
		named[p.Name] = true
		amount += p.Amount * p.Count // <= MaxPrizes * 1e18 could overflow: checked below
		count += p.Count
		chance += p.ChancePPM
		if amount > MaxAmount || p.Amount*p.Count > MaxAmount {
			return fieldError("prizes", CodeTooLarge, "sum to more than %d fen", int64(MaxAmount))
		}
	}
	switch {
	case amount != r.Amount:
		return fieldError("amount", CodeInfeasible, "is %d and the cash prizes sum to %d fen", r.Amount, amount)
	case count != r.Count:
		return fieldError("count", CodeInfeasible, "is %d and the prizes are %d", r.Count, count)
	case chance > 1_000_000:
		return fieldError("prizes", CodeInfeasible, "have chances of %d millionths together; at most 1000000", chance)
	}
	return nil
}

// Hash tells requests with the same key apart. The sender and the key are in the id.
func (r *FundRequest) Hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d|%d|%s|%s|%d|%d|%d|%d|%d|%q|%q|", r.Amount, r.Count, r.Mode, r.Audience, r.Min, r.Max,
		r.OpensAt, r.ClosesAt, r.Cap, r.Password, r.List)
	for _, p := range r.Prizes {
		fmt.Fprintf(h, "%q|%q|%d|%d|%d|%q|", p.Name, p.Kind, p.Amount, p.Count, p.ChancePPM, p.Codes)
	}
	if r.Parts != 0 {
		fmt.Fprintf(h, "parts %d|", r.Parts)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

type field struct {
	name string
	raw  json.RawMessage
}

// object reads one JSON object with no name given twice and nothing after it.
func object(body []byte, in string) ([]field, error) {
	malformed := func(why string) error {
		return fieldError(in, CodeMalformed, "must be one JSON object: %s", why)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	open, err := dec.Token()
	if err != nil || open != json.Delim('{') {
		return nil, malformed("it does not begin with {")
	}
	var fields []field
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, malformed(err.Error())
		}
		f := field{name: name.(string)}
		if seen[f.name] {
			return nil, fieldError(clip(f.name), CodeUnknownField, "is given twice")
		}
		seen[f.name] = true
		if err := dec.Decode(&f.raw); err != nil {
			return nil, malformed(err.Error())
		}
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed(err.Error())
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed("something stands after it")
	}
	return fields, nil
}

// clip keeps a name that a stranger chose short enough for an answer.
func clip(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}

func integer(name string, raw json.RawMessage, low, high int64) (int64, error) {
	s := string(raw)
	digits := s
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if digits == "" {
		return 0, fieldError(name, CodeNotInteger, "must be an integer")
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, fieldError(name, CodeNotInteger, "must be an integer in digits, without quotes, fraction or exponent")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil && s[0] == '-', err == nil && n < low:
		return 0, fieldError(name, CodeTooSmall, "must be at least %d", low)
	case err != nil, n > high:
		return 0, fieldError(name, CodeTooLarge, "must be at most %d", high)
	}
	return n, nil
}

func text(name string, raw json.RawMessage, low, high int) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", fieldError(name, CodeNotString, "must be a string")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fieldError(name, CodeNotString, "must be a string")
	}
	switch {
	case len(s) < low:
		return "", fieldError(name, CodeTooSmall, "must have at least %d bytes", low)
	case len(s) > high:
		return "", fieldError(name, CodeTooLarge, "must have at most %d bytes", high)
	}
	return s, nil
}

func word(name string, raw json.RawMessage, allowed ...string) (string, error) {
	s, err := text(name, raw, 0, MaxFundBody)
	if err != nil {
		return "", err
	}
	for _, a := range allowed {
		if s == a {
			return s, nil
		}
	}
	return "", fieldError(name, CodeInvalid, "must be one of %q", allowed)
}

func instant(name string, raw json.RawMessage) (int64, error) {
	s, err := text(name, raw, 0, 64)
	if err != nil {
		return 0, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fieldError(name, CodeInvalid, "must be a time as 2027-02-05T20:00:00+08:00")
	}
	if y := t.UTC().Year(); y < 2025 || y > 2100 {
		return 0, fieldError(name, CodeInvalid, "must be between the years 2025 and 2100")
	}
	return t.UnixMilli(), nil
}

func uidList(name string, raw json.RawMessage) ([]string, error) {
	var list []string
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, fieldError(name, CodeNotList, "must be an array of strings")
	}
	if len(list) > MaxList {
		return nil, fieldError(name, CodeTooLarge, "must have at most %d strings", MaxList)
	}
	for i, uid := range list {
		if !ValidUID(uid) {
			return nil, fieldError(name, CodeInvalid, "its string number %d is not 1 to 64 of A-Z a-z 0-9 _ -", i+1)
		}
	}
	sort.Strings(list)
	out := list[:0]
	for _, uid := range list {
		if len(out) == 0 || out[len(out)-1] != uid {
			out = append(out, uid)
		}
	}
	return out, nil
}

func prizes(name string, raw json.RawMessage) ([]Prize, error) {
	var lines []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &lines) != nil {
		return nil, fieldError(name, CodeNotList, "must be an array of prizes")
	}
	if len(lines) > MaxPrizes {
		return nil, fieldError(name, CodeTooLarge, "must have at most %d prizes", MaxPrizes)
	}
	var out []Prize
	for i, line := range lines {
		at := fmt.Sprintf("%s[%d]", name, i)
		fields, err := object(line, at)
		if err != nil {
			return nil, err
		}
		p := Prize{Kind: "cash"}
		for _, f := range fields {
			full := at + "." + clip(f.name)
			switch f.name {
			case "name":
				if p.Name, err = text(full, f.raw, 1, 64); err == nil && !ValidUID(p.Name) {
					err = fieldError(full, CodeInvalid, "must be 1 to 64 of A-Z a-z 0-9 _ -")
				}
			case "kind":
				p.Kind, err = word(full, f.raw, "cash", "coupon", "other")
			case "amount":
				p.Amount, err = integer(full, f.raw, 0, MaxShare)
			case "count":
				p.Count, err = integer(full, f.raw, 1, MaxCount)
			case "chance_ppm":
				p.ChancePPM, err = integer(full, f.raw, 1, 1_000_000)
			case "codes":
				p.Codes, err = uidList(full, f.raw)
			default:
				err = fieldError(full, CodeUnknownField, "is not a known field")
			}
			if err != nil {
				return nil, err
			}
		}
		switch {
		case p.Name == "":
			return nil, fieldError(at+".name", CodeMissing, "is required")
		case p.Count == 0:
			return nil, fieldError(at+".count", CodeMissing, "is required")
		case p.ChancePPM == 0:
			return nil, fieldError(at+".chance_ppm", CodeMissing, "is required")
		case len(p.Codes) > 0 && (p.Kind != "coupon" || int64(len(p.Codes)) != p.Count):
			return nil, fieldError(at+".codes", CodeInfeasible, "are for coupons, as many different ones as count says")
		case (p.Kind == "cash") != (p.Amount > 0):
			return nil, fieldError(at+".amount", CodeInfeasible, "must be above 0 for cash, and 0 for the rest")
		}
		out = append(out, p)
	}
	return out, nil
}

// ValidUID tells whether s can stand in a cache key and a record: 1 to 64 characters of
// [A-Za-z0-9_-].
func ValidUID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// ParseDraw reads the body of a draw: empty, or {"password":"..."}.
func ParseDraw(body []byte) (password string, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return "", nil
	}
	if len(body) > 4096 { // nothing else makes it so long
		return "", fieldError("password", CodeTooLarge, "must have at most %d bytes, and the body of a draw 4096", MaxPassword)
	}
	fields, err := object(body, "")
	if err != nil {
		return "", err
	}
	for _, f := range fields {
		if f.name != "password" {
			return "", fieldError(clip(f.name), CodeUnknownField, "is not a known field")
		}
		if password, err = text(f.name, f.raw, 0, MaxPassword); err != nil {
			return "", err
		}
	}
	return password, nil
}
