package gateway

import "unsafe"

// b2s views bytes as a string without a copy; the string must not outlive the
// request.
func b2s(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
