package ngx

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"sluice/lua/vm"
)

// digestArg is what resty.core takes: any value, nil as "".
func digestArg(t *vm.Thread, i int) string {
	v := t.Arg(i)
	if s, ok := v.AsString(); ok {
		t.State().ChargeInstructions(t, int64(len(s))>>4)
		return s
	}
	if !v.Truthy() {
		return ""
	}
	return t.ToString(v)
}

func apiMD5(t *vm.Thread) int {
	s := md5.Sum([]byte(digestArg(t, 1)))
	t.PushString(hex.EncodeToString(s[:]))
	return 1
}

func apiMD5Bin(t *vm.Thread) int {
	s := md5.Sum([]byte(digestArg(t, 1)))
	t.PushString(string(s[:]))
	return 1
}

func apiSHA1Bin(t *vm.Thread) int {
	s := sha1.Sum([]byte(digestArg(t, 1)))
	t.PushString(string(s[:]))
	return 1
}

func apiHMACSHA1(t *vm.Thread) int {
	if t.NArgs() != 2 {
		t.Errorf("expecting 2 arguments, but got %d", t.NArgs())
	}
	h := hmac.New(sha1.New, []byte(t.CheckString(1)))
	h.Write([]byte(t.CheckString(2)))
	t.PushString(string(h.Sum(nil)))
	return 1
}

func apiCRC32(t *vm.Thread) int {
	t.PushNumber(float64(crc32.ChecksumIEEE([]byte(digestArg(t, 1)))))
	return 1
}

func apiEncodeBase64(t *vm.Thread) int {
	s := digestArg(t, 1)
	enc := base64.StdEncoding
	if v := t.Arg(2); !v.IsNil() {
		if v.Type() != vm.TypeBoolean {
			t.Errorf("bad argument #2 to 'encode_base64' (boolean expected, got %s)", v.Type())
		}
		if v.Truthy() {
			enc = base64.RawStdEncoding
		}
	}
	t.PushString(enc.EncodeToString([]byte(s)))
	return 1
}

// decodeBase64 is nginx's: padding may be missing.
func decodeBase64(s string) (string, bool) {
	s = strings.TrimRight(s, "=")
	if len(s)%4 == 1 {
		return "", false
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return "", false
	}
	return string(b), true
}

func apiDecodeBase64(t *vm.Thread) int {
	v, ok := t.Arg(1).AsString()
	if !ok {
		t.Errorf("string argument only")
	}
	for i := 0; i < len(v); i++ {
		if c := v[i]; c == '\n' || c == '\r' {
			t.PushNil()
			return 1
		}
	}
	s, ok := decodeBase64(v)
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushString(s)
	return 1
}

// apiDecodeBase64MIME skips what is not of the alphabet.
func apiDecodeBase64MIME(t *vm.Thread) int {
	v, ok := t.Arg(1).AsString()
	if !ok {
		t.Errorf("string argument only")
	}
	b := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '=' {
			break
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			b = append(b, c)
		}
	}
	s, ok := decodeBase64(string(b))
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushString(s)
	return 1
}

func apiQuoteSQL(t *vm.Thread) int {
	if t.NArgs() != 1 {
		t.Errorf("expecting one argument")
	}
	s := t.CheckString(1)
	b := make([]byte, 0, len(s)+8)
	b = append(b, '\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			b = append(b, `\0`...)
		case '\b':
			b = append(b, `\b`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case 26:
			b = append(b, `\Z`...)
		case '\\':
			b = append(b, `\\`...)
		case '\'':
			b = append(b, `\'`...)
		case '"':
			b = append(b, `\"`...)
		case '$':
			b = append(b, `\$`...)
		default:
			b = append(b, c)
		}
	}
	t.PushString(string(append(b, '\'')))
	return 1
}

func apiEncodeBase64URL(t *vm.Thread) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		t.PushNil()
		t.PushString("must provide a string")
		return 2
	}
	t.PushString(base64.RawURLEncoding.EncodeToString([]byte(s)))
	return 1
}

func apiDecodeBase64URL(t *vm.Thread) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		t.PushNil()
		t.PushString("must provide a string")
		return 2
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.PushNil()
		t.PushString("invalid input")
		return 2
	}
	t.PushString(string(b))
	return 1
}
