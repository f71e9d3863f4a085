// Package changelog is the Redis stream through which a bucket's changes reach every region.
//
// A script that changes money or state is composed of a Prelude and its own body, so that
// the change, the gapless sequence number and the log entry are one atomic step:
//
//	script := changelog.Prelude(epoch) + `
//	  if redis.call('HGET', KEYS[4], 'state') ~= 'open' then return 'closed' end
//	  redis.call('HSET', KEYS[4], 'state', 'closed')
//	  return commit({KEYS[4], '1', '0', 'payload'})
//	`
//
// The first keys of every such script are fixed: KEYS[1] the bucket's meta hash, KEYS[2] its
// change log, KEYS[3] its win stream (needed only when commit is given win fields).
// The prelude gives the body:
//
//	NOW      Unix milliseconds, from Redis TIME (a number)
//	WIN      seq of the bucket's last win-stream entry (text)
//	commit(records [, win [, source]]) -> seq (text)
//	         records: flat list {key, type, expiry, payload, key, type, ...} of texts;
//	                  payload false means deleted; expiry in Unix seconds, '0' for none;
//	                  an empty list still takes a seq (for a change no cache needs to see)
//	         win:     flat list of fields for the win stream, or nil; the entry gets the same
//	                  id, with p = WIN in front, so that a reader sees a gap
//	         source:  epoch of the user source, for user records only (see DESIGN section 5)
//
// A script whose epoch is not the bucket's returns the error "FENCED ..." before anything
// else. All checks belong before the first commit or write: Redis does not roll back.
//
// The meta hash has the fields epoch, seq, vms, vctr and win; only the prelude and Raise
// write it. Log entries have the id <epoch>-<seq> and the fields
//
//	m version ms   c version counter   [s source epoch]   then groups of
//	k key   t type   e expiry   v payload (or d "" when deleted)
//
// seq goes on counting through changes of epoch, so one rule finds every gap.
//
// The scripts use no multiple assignment, pcall, struct or bit: they run alike on Redis and
// on miniredis.
package changelog
