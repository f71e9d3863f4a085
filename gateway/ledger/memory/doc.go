// Package memory is a ledger in memory: deterministic, with a hook before and
// after every commit at which a simulator may crash, lose a reply or step in.
//
//	l := memory.New(memory.Options{Now: clock.Now, Hook: func(p string) error {
//		if p == "settle:after" && rnd.IntN(10) == 0 {
//			return errCrash // stored, but the caller hears an error
//		}
//		return nil
//	}})
//
// An error of the hook at "<op>:before" means that nothing is stored; at
// "<op>:after" all is stored and the reply is lost. The ops are fund, payment,
// confirm, expire, settle, certify, freeze, quarantine, release, correct, proof,
// claim, done, fail, dead, retry and sweep. Nothing here iterates over a map
// in map order, starts a goroutine or reads a clock.
//
// It forgets everything with the process: never for money.
package memory
