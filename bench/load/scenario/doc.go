// Package scenario says what each arriving user does, written in YAML by whoever plans the night.
//
//	name: night
//	users: {count: 1000000, prefix: u, order: each}   # each | random; count 0: never the same twice
//	vars:
//	  room: [r1, r2]                  # user n takes the n-th of a list, round and round
//	setup:                            # once, before the first arrival
//	  - fund: {as: rp, times: 10, amount: 100000, count: 1000, opens_in: 2s}
//	steps:                            # by every user, in order
//	  - enter: {room: "${room}"}
//	  - think: 200ms..2s
//	  - repeat:
//	      times: 5
//	      until: [won, soldout]
//	      steps:
//	        - draw: {redpacket: "${rp}", expect: {outcomes: [won, already, soldout, notopen]}}
//	        - think: 1s
//	  - show: {redpacket: "${rp}"}
//	  - request: {name: top, method: GET, path: "/v1/redpackets/${rp}/winners", extract: {last: uid}}
//
// Words in ${}: uid, n (the user's number), seq (a number no other request of the run has), run (a word
// that no other run has), a name of vars or setup, or one that an earlier extract or fund took from an answer. The outcome of an answer is
// its "outcome", else its "state", else its error's "code". A step without expect wants a 2xx; an
// answer that is not expected counts as an error. Unknown keys are refused with line and column.
//
// A Program is immutable; each loop runs it for its own users.
package scenario
