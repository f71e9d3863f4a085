// Package proof tells how much of a warmed set is really in memcached, and
// beforehand whether it can be at all.
//
// Sample keeps the k keys with the smallest hashes of all keys ever offered:
// a uniform random sample of the distinct keys, in constant memory, in any
// order, the same after a crash and a resume (offering a key again changes
// nothing). As a by-product it counts distinct keys, and so duplicates:
// distinct = (k-1) / (k-th smallest hash as a fraction), exact below k.
//
// The sampled keys are read back from every region; of n read with c covered
// the true coverage lies, with 95 % confidence, within Wilson's interval
//
//	(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n),   p = c/n, z = 1.96
//
// (E. B. Wilson, JASA 22, 1927), which is honest near 100 % where p ± z·s is not.
package proof
