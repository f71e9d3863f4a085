package redpacket

// OpenWithin reports whether a red packet, given by the payload of its rp: record, can be
// drawn from at some moment of [fromMS, toMS), both Unix ms: it is what a warm-up loads.
func OpenWithin(payload []byte, fromMS, toMS int64) bool {
	st, err := parseState(ID{}, string(payload), 0, fromMS)
	if err != nil {
		return false
	}
	switch st.State {
	case StateUnpaid, StateExpired, StateClosed:
		return false
	}
	return st.OpensAt < toMS && st.ClosesAt > fromMS
}
