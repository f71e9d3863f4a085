// Package redpacket funds, splits, draws, closes and proves red packets.
//
//	    fund                draw                                        close
//	      |                  |                                            |
//	+-----v------------------v--------------------------------------------v----+
//	|  bucket in the home's Redis: {b07}:rp:<id> {b07}:sh:<id> {b07}:w:<id>    |
//	|  changed by the scripts of package script and by nothing else            |
//	+--+----------------------+---------------------------------------+--------+
//	   | {b07}:fund            | {b07}:win                             | {b07}:log
//	   v                       v                                       v
//	SplitWorker            Settler  --> ledger (truth of money)     cachesync --> rp: and w: records
//
// # What holds at every moment
//
//   - A share is taken by one (uid, n) and never again: the script takes the share at the
//     counter `taken`, adds one, and writes the winner, the win stream and the change log in
//     the same atomic step. Nothing is counted down and nothing is put back.
//   - A draw repeated with the same (uid, n) gets the same answer. That is what makes a
//     retry after a lost reply safe, for clients as for gateways.
//   - Nothing is acknowledged that is not in Redis; in the embedded house not before the
//     ledger has it (Settler.WaitSettled).
//   - A red packet opens only when its row and its split seed are in the ledger, so
//     everything in Redis can be rebuilt from there.
//   - `soldout` and `closed` are said only by the home, or by a complete filter of winners.
//   - Scripts carry the epoch in their text. A Redis that was restarted or promoted does
//     not know them and answers NOSCRIPT; nothing is drawn until the Certifier has compared
//     Redis with the ledger, raised the epoch and loaded the new texts.
//
// # Draws that meet
//
// While a call of the draw script for a red packet is under way, the draws that come gather, and the next call
// makes them all (batches). Each is decided before anything is written; each win has its own entry in both
// streams, so whoever reads those knows of no batches. What a call costs Redis beside the win is paid
// once: 30 us of its CPU a draw become 13 at 32 draws a call.
//
// # Spread over several buckets
//
// A hot red packet is spread when it is funded: by its body (`parts`) or by its count. Part i
// stands in bucket (bucket of the id + i) mod 64, a uid belongs to one part for ever (partOf), and each
// part holds one range of shares, so its draws are those of any red packet. The number of parts
// stands in the rp: record; only part 0's bucket mints that record, from the sums of all parts.
//
//	  part 2 (rich)                 ledger                part 5 (dry)
//	give: range off, event, note
//	      |------ win stream ------> move posted
//	      |                             |---- take: once ----> range on
//	clear: note off <-------------------------------------------|
//
// A part that is dry makes the richest give half of its range (at most 4096 shares). The giving event's
// place in its stream is the move's name. The ledger has the move before the receiver has the
// range, so at any moment the ledger says which part answers for which share: what bucket b
// may have won beyond what is known is what it began with and was given, less what it gave and
// what was won. A part that is restored is quarantined by that and the others draw on; a give
// that Redis forgot reached nobody. Settler and Closer end moves, whoever began them; until
// then the draws of the dry part wait a moment, and are "later" after that.
//
//   - soldout is told after two readings of all parts find nothing left, nothing on its way and
//     nothing moved in between, and a draw after that finds its part still dry.
//   - Close fences every part (state z), part 0 last; then moves are ended; then each part tells the
//     ledger what it has left, and part 0 only when the ledger has the closes of all others.
//   - Reconcile cuts each part at its bucket's position; a range known as given and not as
//     taken is counted once, as left.
//   - A bucket that is being certified answers for its part with "later" and stops soldout and
//     close, not the draws of the other parts.
//
// # Roles
//
// Desk is what a gateway needs: fund, look, draw, show, winners, close. Settler,
// SplitWorker, Closer and Certifier run where the ledger is; each is built from explicit
// parts and has Run(ctx). Reconcile and Verify are called on command and by a sweep.
//
// # Concurrency
//
// A Desk is safe for any number of goroutines. Each Run is called once. Two settlers may
// run at the same time: the ledger's position admits each event once; the same holds for
// the other roles, all of which are idempotent.
package redpacket
