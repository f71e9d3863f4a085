package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"sluice/cachesync/record"
	"sluice/cachesync/warmup/source"
)

// ErrFiltered is Convert's answer for rows that the filter or the transform leaves out.
var ErrFiltered = errors.New("left out by the filter")

// MaxValue is the largest record, with key and header, that every memcached takes.
const MaxValue = 1<<20 - 1024

// Transform changes a payload, or leaves the record out (keep false).
type Transform func(key string, payload []byte) (out []byte, keep bool, err error)

// Config of a Plan. Only Key is required.
type Config struct {
	Key           string   // template: "u:{uid}"
	Fields        []string // of the payload: "name", "name=column", "age=column:number"; none means all, as they come
	VersionColumn string   // when the row changed
	Epoch         uint64   // of the source: raise it when its clock or content was set back
	OpenedAt      time.Time
	Filter        string // expr-lang: `int(level) > 10 && country == "CN"`
	Transform     Transform
	KeepUntil     time.Time     // zero value means that records do not expire
	Spread        time.Duration // zero value means all at once
}

// Item is a record ready to be written.
type Item struct {
	Key     string
	Version record.Version
	Expiry  int32  // unix seconds, 0 = never
	Value   []byte // header and payload
}

// Plan converts rows.
type Plan struct {
	cfg     Config
	prefix  string
	parts   []part
	typ     record.Type
	fields  []payloadField
	filter  *vm.Program
	env     map[string]any
	opened  record.Version
	key     []byte
	payload []byte
	text    []byte
}

type part struct {
	literal string
	column  string
}

type payloadField struct {
	name   string // quoted, with the colon
	column string
	kind   string // "", "string", "number", "bool", "json"
}

// Compile checks cfg.
func Compile(cfg Config) (*Plan, error) {
	p := &Plan{cfg: cfg, opened: record.VersionAt(cfg.Epoch, cfg.OpenedAt), env: map[string]any{}}
	if cfg.Epoch > record.MaxEpoch {
		return nil, fmt.Errorf("epoch %d is above %d", cfg.Epoch, record.MaxEpoch)
	}
	if err := p.parseKey(); err != nil {
		return nil, err
	}
	for _, f := range cfg.Fields {
		name, column, _ := strings.Cut(f, "=")
		if column == "" {
			column = name
		}
		column, kind, _ := strings.Cut(column, ":")
		name, _, _ = strings.Cut(name, ":")
		switch kind {
		case "", "string", "number", "bool", "json":
		default:
			return nil, fmt.Errorf("field %q: unknown type %q; string, number, bool or json", f, kind)
		}
		if name == "" || column == "" {
			return nil, fmt.Errorf("field %q: want name, name=column or name=column:type", f)
		}
		quoted, _ := json.Marshal(name)
		p.fields = append(p.fields, payloadField{name: string(quoted) + ":", column: column, kind: kind})
	}
	if cfg.Filter != "" {
		var err error
		if p.filter, err = expr.Compile(cfg.Filter, expr.Env(map[string]any{}), expr.AllowUndefinedVariables(), expr.AsBool()); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	return p, nil
}

func (p *Plan) parseKey() error {
	rest := p.cfg.Key
	if rest == "" {
		return errors.New(`no key template; for users it is "u:{uid}"`)
	}
	for rest != "" {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if open > 0 {
			p.parts = append(p.parts, part{literal: rest[:open]})
		}
		if rest = rest[open:]; rest == "" {
			break
		}
		end := strings.IndexByte(rest, '}')
		if end < 2 {
			return fmt.Errorf("key template %q: every { needs a column and a }", p.cfg.Key)
		}
		p.parts = append(p.parts, part{column: rest[1:end]})
		rest = rest[end+1:]
	}
	if len(p.parts) == 1 && p.parts[0].column == "" {
		return fmt.Errorf("key template %q names no column: all rows would have one key", p.cfg.Key)
	}
	p.prefix = p.parts[0].literal
	p.typ = TypeOf(p.prefix)
	return nil
}

// TypeOf is the type of records whose keys begin with prefix.
func TypeOf(key string) record.Type {
	for prefix, t := range map[string]record.Type{
		record.PrefixUser: record.TypeUser, record.PrefixRedPacket: record.TypeRedPacket,
		record.PrefixWin: record.TypeWin, record.PrefixRoom: record.TypeRoom,
	} {
		if strings.HasPrefix(key, prefix) {
			return t
		}
	}
	return record.TypeOther
}

// Convert appends the record of row to buf; Item.Value is that part of it.
func (p *Plan) Convert(row *source.Row, buf []byte) (Item, []byte, error) {
	if p.filter != nil {
		if ok, err := p.wanted(row); !ok {
			return Item{}, buf, err
		}
	}
	if why := p.makeKey(row); why != "" {
		return Item{}, buf, row.Bad("%s", why)
	}
	item := Item{Key: string(p.key)}
	var why string
	if item.Version, why = p.version(row); why != "" {
		return Item{}, buf, row.Bad("%s", why)
	}
	payload, why := p.makePayload(row)
	if why != "" {
		return Item{}, buf, row.Bad("%s", why)
	}
	if p.cfg.Transform != nil {
		out, keep, err := p.cfg.Transform(item.Key, payload)
		if err != nil {
			return Item{}, buf, row.Bad("transform: %v", err)
		}
		if !keep {
			return Item{}, buf, ErrFiltered
		}
		payload = out
	}
	if n := len(item.Key) + record.HeaderSize + len(payload); n > MaxValue {
		return Item{}, buf, row.Bad("record of %d bytes, memcached takes %d; leave out large fields with --fields", n, MaxValue)
	}
	item.Expiry = p.expiry()
	start := len(buf)
	buf = record.Record{Type: p.typ, Version: item.Version, CommitMS: item.Version.UnixMS(), Payload: payload}.Append(buf)
	item.Value = buf[start:len(buf):len(buf)]
	return item, buf, nil
}

func (p *Plan) wanted(row *source.Row) (bool, error) {
	clear(p.env)
	for _, f := range row.Fields {
		p.env[f.Name] = value(f)
	}
	out, err := expr.Run(p.filter, p.env)
	if err != nil {
		return false, row.Bad("filter: %v", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if ok, _ := out.(bool); !ok {
		return false, ErrFiltered
	}
	return true, nil
}

// value is what a filter sees: CSV columns are text, others what they are.
func value(f source.Field) any {
	switch f.Kind {
	case source.String:
		return string(f.Text)
	case source.Null:
		return nil
	}
	var v any
	if json.Unmarshal(f.Text, &v) != nil {
		return string(f.Text)
	}
	return v
}

func (p *Plan) makeKey(row *source.Row) (why string) {
	p.key = p.key[:0]
	for _, part := range p.parts {
		if part.column == "" {
			p.key = append(p.key, part.literal...)
			continue
		}
		f, ok := row.Field(part.column)
		if !ok {
			return "no column " + part.column + ", which the key needs"
		}
		n := len(p.key)
		if !f.IsNull() {
			p.key = f.AppendText(p.key)
		}
		if len(p.key) == n {
			return "column " + part.column + ", which the key needs, is empty"
		}
	}
	if len(p.key) > 250 {
		return fmt.Sprintf("key of %d bytes; memcached takes 250", len(p.key))
	}
	for _, c := range p.key {
		if c <= ' ' || c == 0x7f {
			return fmt.Sprintf("key %q has a space or control character", p.key)
		}
	}
	if p.typ == record.TypeUser && !validUID(p.key[len(record.PrefixUser):]) {
		return fmt.Sprintf("key %q: a uid is 1 to 64 of A-Z a-z 0-9 _ -", p.key)
	}
	return ""
}

func validUID(uid []byte) bool {
	for _, c := range uid {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(uid) >= 1 && len(uid) <= 64
}

func (p *Plan) version(row *source.Row) (record.Version, string) {
	if p.cfg.VersionColumn == "" {
		return p.opened, ""
	}
	f, ok := row.Field(p.cfg.VersionColumn)
	if !ok || f.IsNull() {
		return 0, "no " + p.cfg.VersionColumn + ", which is the record's version"
	}
	p.text = f.AppendText(p.text[:0])
	t, err := source.ParseTime(string(p.text))
	if err != nil {
		return 0, p.cfg.VersionColumn + ": " + err.Error()
	}
	if t.UnixMilli() < record.BaseMS {
		t = time.UnixMilli(record.BaseMS) // older than versions can tell: the oldest there is
	}
	// A row from the future would beat live changes until then.
	if t.After(p.cfg.OpenedAt.Add(time.Minute)) {
		return 0, fmt.Sprintf("%s is %s, in the future", p.cfg.VersionColumn, t.UTC().Format(time.RFC3339))
	}
	return record.VersionAt(p.cfg.Epoch, t), ""
}

func (p *Plan) makePayload(row *source.Row) (payload []byte, why string) {
	if len(p.fields) == 0 && row.Raw != nil {
		return row.Raw, ""
	}
	b := append(p.payload[:0], '{')
	if len(p.fields) == 0 {
		for i, f := range row.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = source.Field{Text: []byte(f.Name)}.AppendJSON(b)
			b = append(b, ':')
			b = f.AppendJSON(b)
		}
	}
	for i, pf := range p.fields {
		f, ok := row.Field(pf.column)
		if !ok {
			return nil, "no column " + pf.column
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, pf.name...)
		start := len(b)
		if pf.kind == "" || f.IsNull() {
			b = f.AppendJSON(b)
			continue
		}
		if pf.kind == "string" {
			p.text = f.AppendText(p.text[:0])
			b = source.Field{Text: p.text}.AppendJSON(b)
			continue
		}
		b = f.AppendText(b)
		if s := b[start:]; !typed(pf.kind, s) {
			return nil, fmt.Sprintf("column %s is not a %s: %.40q", pf.column, pf.kind, s)
		}
	}
	p.payload = append(b, '}')
	return p.payload, ""
}

func typed(kind string, s []byte) bool {
	if !json.Valid(s) {
		return false
	}
	switch kind {
	case "number":
		return s[0] == '-' || s[0] >= '0' && s[0] <= '9'
	case "bool":
		return s[0] == 't' || s[0] == 'f'
	}
	return true
}

func (p *Plan) expiry() int32 {
	return Expiry(p.key, p.cfg.KeepUntil, p.cfg.Spread)
}

// Expiry is the unix second at which the record of key ends: at keepUntil or up
// to spread later, always the same for one key. 0 means never.
func Expiry(key []byte, keepUntil time.Time, spread time.Duration) int32 {
	if keepUntil.IsZero() {
		return 0
	}
	at := keepUntil.Unix()
	if s := uint64(spread / time.Second); s > 0 {
		at += int64(xxhash.Sum64(key) % s)
	}
	return int32(at)
}
