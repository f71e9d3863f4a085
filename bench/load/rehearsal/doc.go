// Package rehearsal funds red packets for a run, and closes again what a rehearsal funded.
//
// A rehearsal runs against the real house. Everything of it is marked: users are called
// rehearsal-..., every request carries X-Sluice-Rehearsal, and each red packet it funds is written
// to a list before anything else happens to it, so that
//
//	sluice bench cleanup LIST -c sluice.yaml
//
// closes them even when the run was killed. Closing goes through the admin API
// (POST /admin/redpackets/{id}/close), which refunds what was not drawn; closing twice is harmless.
// What a user called rehearsal-... has won from a sender called so stands in the ledger, but no wallet is
// called for it. From red packets of others a rehearsal does not draw.
package rehearsal
