// Package split divides an amount into random shares, the same for everybody.
//
// The law wanted: n independent normal variables of one mean and sigma, each inside
// [min, max], given that they sum to the amount. Sampling it by rejection is hopeless for
// large n, so it is reached by steps that each keep sum, bounds and law:
//
//	start   every share amount/n (the first amount%n one fen more)
//	16 x    pair all shares at random; of each pair (a, b), s = a+b, draw a again from a
//	        normal of mean s/2 and sigma/sqrt(2), truncated to
//	        [max(min, s-max), min(max, s-min)]; b = s-a
//	end     shuffle
//
// The redraw is a Gibbs step of the law above, so it leaves it as it is; the shuffle makes
// every position alike, exactly; sixteen rounds bring the equal start to it (tested against exact
// rejection sampling for small n). The interval of a is symmetric about s/2, which keeps the
// truncation cheap.
//
//	sigma = min(mean-min, max-mean) / 2
//
// so that the nearer bound is two sigmas away and no share piles up there. Given the sum,
// sigma is the only thing left to choose.
//
// An amount above BlockAmount is first divided into blocks by the same law (m shares sum
// with sigma*sqrt(m)), then the blocks are split side by side, each with a seed of its own.
//
// Everything follows from the 32-byte seed: ChaCha8 for bits, a ziggurat for normals, no
// floating-point operation whose rounding differs between machines in a way that shows.
// That lets anybody who has the seed repeat the split (see redpacket.Verify).
package split
