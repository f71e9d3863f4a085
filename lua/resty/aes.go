package resty

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"sluice/lua/vm"
)

// aesKey is an object of resty.aes.
type aesKey struct {
	mode    string
	block   cipher.Block
	iv      []byte // filled with zeros to the cipher's key length, as upstream
	ivLen   int
	padding bool
}

var modes = map[string]bool{"ecb": true, "cbc": true, "cfb8": true, "cfb128": true, "ofb": true, "ctr": true, "gcm": true}

func aesModule(*vm.Thread) vm.Value {
	m, meta := vm.NewTable(0, 8), vm.NewTable(0, 1)
	meta.SetStr("__index", m.Value())
	hashes := vm.NewTable(0, 6)
	for name, f := range map[string]func() hash.Hash{
		"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	} {
		hashes.SetStr(name, vm.NewUserdata(f, nil).Value())
	}
	m.SetStr("hash", hashes.Value())
	def(m, "cipher", func(t *vm.Thread) int {
		size, mode := t.OptInt(1, 128), t.OptString(2, "cbc")
		if size != 128 && size != 192 && size != 256 || !modes[mode] {
			t.PushNil()
			return 1
		}
		c := vm.NewTable(0, 3)
		c.SetStr("size", vm.Int(size))
		c.SetStr("cipher", vm.String(mode))
		c.SetStr("method", vm.True)
		t.Push(c.Value())
		return 1
	})
	def(m, "new", func(t *vm.Thread) int {
		k, problem := newAES(t)
		if problem != "" {
			t.PushNil()
			t.PushString(problem)
			return 2
		}
		self := vm.NewTable(0, 1)
		self.SetStr("_key", vm.NewUserdata(k, nil).Value())
		self.SetMetatable(meta)
		t.Push(self.Value())
		return 1
	})
	def(m, "encrypt", encrypt)
	def(m, "decrypt", decrypt)
	return versioned(m)
}

// newAES reads new(self, key, salt, cipher, hash, rounds, iv_len, padding).
func newAES(t *vm.Thread) (*aesKey, string) {
	key := t.CheckString(2)
	size, mode := 128, "cbc"
	if c := t.Arg(4); c.Truthy() {
		tab := t.CheckTable(4)
		n, _ := tab.GetStr("size").ToNumber()
		size = int(n)
		mode, _ = tab.GetStr("cipher").AsString()
	}
	if size != 128 && size != 192 && size != 256 || !modes[mode] {
		t.ArgError(4, "unknown cipher")
	}
	k := &aesKey{mode: mode, iv: make([]byte, max(size/8, aes.BlockSize)), ivLen: size / 8}
	if n, ok := t.Arg(7).ToNumber(); ok && n >= 1 && n <= float64(len(k.iv)) {
		k.ivLen = int(n)
	}
	k.padding = t.Arg(8).IsNil() || t.Arg(8).Truthy()
	var raw []byte
	if h := t.Arg(5).AsTable(); h != nil {
		var problem string
		if raw, problem = k.givenKey(t, h, key, size/8); problem != "" {
			return nil, problem
		}
	} else {
		var problem string
		if raw, problem = k.derivedKey(t, key, size/8); problem != "" {
			return nil, problem
		}
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, "failed to init ctx"
	}
	k.block = block
	return k, ""
}

// givenKey is for a hash argument like {iv = ..., method = function}.
func (k *aesKey) givenKey(t *vm.Thread, h *vm.Table, key string, size int) (raw []byte, problem string) {
	iv, ok := h.GetStr("iv").AsString()
	if !ok {
		return nil, "iv is needed"
	}
	if len(iv) > size {
		return nil, "bad iv length"
	}
	copy(k.iv, iv)
	k.ivLen = len(iv)
	if method := h.GetStr("method"); method.Truthy() {
		key = ""
		if got := t.MustCall(method, t.Arg(2)); len(got) > 0 {
			key, _ = got[0].ToStringValue()
		}
	}
	if len(key) != size {
		return nil, "bad key length"
	}
	return []byte(key), ""
}

// maxRounds bounds the work of one key derivation.
const maxRounds = 10_000_000

// derivedKey makes key and iv from a password as OpenSSL's EVP_BytesToKey.
func (k *aesKey) derivedKey(t *vm.Thread, password string, size int) (raw []byte, problem string) {
	salt := ""
	if t.Arg(3).Truthy() {
		salt = t.CheckString(3)
		if len(salt) != 8 {
			return nil, "salt must be 8 characters or nil"
		}
	}
	newHash := md5.New
	if u := t.Arg(5).AsUserdata(); u != nil {
		f, ok := u.Data.(func() hash.Hash)
		if !ok {
			t.ArgError(5, "hash expected")
		}
		newHash = f
	}
	rounds := t.OptInt(6, 1)
	if rounds < 1 || rounds > maxRounds {
		return nil, "failed to generate key and iv"
	}
	ivLen := aes.BlockSize
	switch k.mode {
	case "ecb":
		ivLen = 0
	case "gcm":
		ivLen = 12
	}
	var out, d []byte
	h := newHash()
	for len(out) < size+ivLen {
		h.Reset()
		h.Write(d)
		h.Write([]byte(password))
		h.Write([]byte(salt))
		d = h.Sum(nil)
		for i := 1; i < rounds; i++ {
			if i%1000 == 0 {
				t.State().ChargeInstructions(t, 50000)
			}
			h.Reset()
			h.Write(d)
			d = h.Sum(nil)
		}
		out = append(out, d...)
	}
	copy(k.iv, out[size:size+ivLen])
	return out[:size], ""
}

func keyOf(t *vm.Thread) *aesKey {
	if tab := t.Arg(1).AsTable(); tab != nil {
		if u := tab.GetStr("_key").AsUserdata(); u != nil {
			if k, ok := u.Data.(*aesKey); ok {
				return k
			}
		}
	}
	t.Errorf("bad argument #1 self: table expected, got %s", t.Arg(1).Type())
	return nil
}

// stream gives the key stream for modes that have one.
func (k *aesKey) stream(encrypting bool) cipher.Stream {
	iv := k.iv[:aes.BlockSize]
	switch {
	case k.mode == "ctr":
		return cipher.NewCTR(k.block, iv)
	case k.mode == "ofb":
		//lint:ignore SA1019 the script asks for this mode
		return cipher.NewOFB(k.block, iv)
	case k.mode == "cfb128" && encrypting:
		//lint:ignore SA1019 the script asks for this mode
		return cipher.NewCFBEncrypter(k.block, iv)
	case k.mode == "cfb128":
		//lint:ignore SA1019 the script asks for this mode
		return cipher.NewCFBDecrypter(k.block, iv)
	case k.mode == "cfb8":
		return &cfb8{block: k.block, shift: bytes.Clone(iv), encrypting: encrypting}
	}
	return nil
}

// cfb8 is cipher feedback by the byte, which the standard library lacks.
type cfb8 struct {
	block      cipher.Block
	shift      []byte
	encrypting bool
}

func (c *cfb8) XORKeyStream(dst, src []byte) {
	var pad [aes.BlockSize]byte
	for i, in := range src {
		c.block.Encrypt(pad[:], c.shift)
		out := in ^ pad[0]
		fed := in
		if c.encrypting {
			fed = out
		}
		copy(c.shift, c.shift[1:])
		c.shift[aes.BlockSize-1] = fed
		dst[i] = out
	}
}

func (k *aesKey) gcm() (cipher.AEAD, error) {
	return cipher.NewGCMWithNonceSize(k.block, max(k.ivLen, 1))
}

func encrypt(t *vm.Thread) int {
	k := keyOf(t)
	s := []byte(t.CheckString(2))
	t.State().Charge(t, int64(len(s)+32))
	if k.mode == "gcm" {
		a, err := k.gcm()
		if err != nil {
			return failure(t, "EVP_EncryptInit_ex failed")
		}
		sealed := a.Seal(nil, k.iv[:a.NonceSize()], s, []byte(t.OptString(3, "")))
		out := vm.NewTable(2, 0)
		out.SetInt(1, vm.String(string(sealed[:len(s)])))
		out.SetInt(2, vm.String(string(sealed[len(s):])))
		t.Push(out.Value())
		return 1
	}
	if st := k.stream(true); st != nil {
		st.XORKeyStream(s, s)
		t.PushString(string(s))
		return 1
	}
	if k.padding {
		n := aes.BlockSize - len(s)%aes.BlockSize
		s = append(s, bytes.Repeat([]byte{byte(n)}, n)...)
	} else if len(s)%aes.BlockSize != 0 {
		return failure(t, "EVP_EncryptFinal_ex failed")
	}
	if k.mode == "cbc" {
		cipher.NewCBCEncrypter(k.block, k.iv[:aes.BlockSize]).CryptBlocks(s, s)
	} else {
		for i := 0; i < len(s); i += aes.BlockSize {
			k.block.Encrypt(s[i:], s[i:])
		}
	}
	t.PushString(string(s))
	return 1
}

func decrypt(t *vm.Thread) int {
	k := keyOf(t)
	s := []byte(t.CheckString(2))
	t.State().Charge(t, int64(len(s)+32))
	if k.mode == "gcm" {
		a, err := k.gcm()
		if err != nil {
			return failure(t, "EVP_DecryptInit_ex failed")
		}
		out, err := a.Open(nil, k.iv[:a.NonceSize()], append(s, t.OptString(3, "")...), []byte(t.OptString(4, "")))
		if err != nil {
			return failure(t, "EVP_DecryptFinal_ex failed")
		}
		t.PushString(string(out))
		return 1
	}
	if st := k.stream(false); st != nil {
		st.XORKeyStream(s, s)
		t.PushString(string(s))
		return 1
	}
	if len(s)%aes.BlockSize != 0 || k.padding && len(s) == 0 {
		return failure(t, "EVP_DecryptFinal_ex failed")
	}
	if k.mode == "cbc" {
		cipher.NewCBCDecrypter(k.block, k.iv[:aes.BlockSize]).CryptBlocks(s, s)
	} else {
		for i := 0; i < len(s); i += aes.BlockSize {
			k.block.Decrypt(s[i:], s[i:])
		}
	}
	if k.padding {
		n := int(s[len(s)-1])
		if n == 0 || n > aes.BlockSize || !bytes.Equal(s[len(s)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
			return failure(t, "EVP_DecryptFinal_ex failed")
		}
		s = s[:len(s)-n]
	}
	t.PushString(string(s))
	return 1
}

func failure(t *vm.Thread, msg string) int {
	t.PushNil()
	t.PushString(msg)
	return 2
}
