// Package town starts three regions on this machine, each of real processes, for tests and to
// be watched (`make regions`):
//
//	bj1     idc      127.0.0.11   memcached, Redis (home 1), settle, sync, relay, gateway
//	month1  monthly  127.0.0.12   memcached, Redis (home 2), settle, sync, relay, gateway
//	burst1  burst    127.0.0.13   memcached,                         sync, relay, gateway
//
// and the control region's Redis. Every line from a region to another's home goes through
// toxiproxy, which delays it; Cut, Hang and Mend change both directions at once.
//
//	t := town.Start(tb, town.Config{Binary: "./sluice", Scripts: "./scripts"})
//	t.Cut("burst1", "bj1")          // connections are refused and lost
//	t.Region("burst1").Relay.Kill() // its sync goes on, the first relay is part of it
//
// Each region has two relays: one within its `sluice sync`, one beside it. Everything ends with
// the test, or with the program that started it.
package town
