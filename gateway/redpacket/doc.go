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
