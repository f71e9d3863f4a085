// Package script holds the atomic scripts of a bucket: the only writers of its red packets.
//
// Each text is changelog.Prelude(epoch) + lib.lua + its own body, and is called by EVALSHA
// only. The epoch is part of the text, so a Redis that was restarted, restored or promoted
// answers NOSCRIPT, and a script that is loaded there but of another epoch FENCED.
//
// # The rules of a body
//
//   - Every check comes before the first write: Redis does not roll back.
//   - One commit at most, and it is the first write: it is the one that can refuse.
//   - Redis TIME decides; no time of a caller does.
//   - A repeat of the same call changes nothing and answers the same.
//   - No multiple assignment, pcall, struct or bit; numbers become text by T(x).
//
// # Keys
//
// KEYS[1..3] are the bucket's meta, log and win (package changelog); KEYS[4] is the red
// packet's hash where there is one. The rest stands at the head of each file.
//
// # The hash {b07}:rp:<id>
//
//	s   state: u unpaid, p splitting, o open (also: scheduled), x sold out, z fenced before
//	    close (spread only), c closed, e expired
//	k   taken: index of the next share      n   count         w  width of a share in sh:
//	la  fen left                            q   quarantined shares   qa  their fen
//	rl  shares released from quarantine, as the ledger counts them
//	o   opens at, ms                        c   closes at, ms        ot  opened at, ms
//	wp  winners' hashes                     x   expiry of its records, Unix s
//	a   "1": audience list                  lk  "1": lock password   fa "1": audience fans
//	cm  commit of the seed                  sd  the seed             f  chunks of the filter
//	fix what never changes, as it stands in the record
//	ep, ev, et, ek   the record last emitted: payload, version, ms, taken
//	h   hash of the fund request            spec  JSON, for the split worker
//
// The amounts, {b07}:sh:<id>, go with the last share; those of a part stay until it is forgotten.
// Of a forgotten red packet {b07}:dr:<id> stands there until the last of its keys has gone.
//
// A part of a spread red packet stands in {b07}:rp:<id> (part 0) or {b08}:rq:<id> (the others),
// its range is k..n-1, and it has besides
//
//	pt  index of the part     sp  parts     b   first share in sh:
//	mv  gives and takes so far              cs  seq of its close event
//	nt  notes, with nl shares and nf fen    t<part>  the open move to that part
//	xl, xr   shares and ranges that came while it was fenced
//	el, ea, eq   left, fen left and quarantined of all parts, as the record last said (part 0)
//
// Its notes are {b07}:nt:<id>, move -> part|first|behind|fen and d<move> -> digits; the moves it has
// taken are the set {b07}:tk:<id>.
//
// # Replies
//
// One text, fields separated by '|', the first a word. That is the cheapest reply to make
// and to read.
package script
