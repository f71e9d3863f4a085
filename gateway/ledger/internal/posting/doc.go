// Package posting decides what a Settle writes: the one place with the rules,
// shared by every store, so that they can't differ.
//
//	batches ─▶ plan.Make(backend) ─▶ Plan{parts to write, freezes, errors} ─▶ the store writes it
//
// The plan is made inside the store's transaction, from rows the transaction
// has locked. Two passes: the first trusts the database's unique keys and
// looks up nothing for new wins (the fast road, taken by every good batch);
// only when a key refuses does the store roll back and plan again with
// checks, which look up each new win and find the event at fault.
package posting
