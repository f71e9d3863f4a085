// Package arrival says when users arrive, independent of how fast the server answers.
//
// A Curve is the expected number of arrivals in [0, t], a function that never falls:
//
//	hits
//	  |            ______ herd: everybody around :00
//	  |          /
//	  |        /     ...  constant: a straight line
//	  |     ../....
//	  |____/___________ t
//
// The n-th arrival (from 0) takes place where the curve passes n + 1/2, so a run of length T has
// round(Hits(T)) arrivals whatever the server does: that is what makes the generator open-loop.
// With Schedule.Poisson the steps between arrivals are exponential in the curve's own units, which
// is how independent users arrive.
//
// Curves are written and printed in one form, and Parse(c.String()) gives c again:
//
//	constant:rate=1000
//	step:from=100,by=100,every=10s
//	ramp:from=0,to=5000,over=1m
//	sine:mean=1000,amp=500,period=1m
//	herd:users=100000,at=5s,skew=200ms,reaction=600ms,spread=0.5,repeats=2,every=1s
//	surge:base=50,factor=1000,after=10s,before=50s,rise=200ms,for=2s,seed=7
//
// A Curve is immutable and safe for concurrent use; a Schedule belongs to one goroutine.
package arrival
