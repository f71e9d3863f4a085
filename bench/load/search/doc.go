// Package search reads objectives and finds the highest rate that holds them.
//
// Objectives are clauses, all of which must hold:
//
//	p99<50ms,errors<0.1%                    the usual pair
//	mean<5ms  p50<=2ms  p99.9<200ms  max<1s of the latency, from the intended moment
//	service.p99<10ms                        from the send time
//	rate>1000                               requests a second that were answered
//	outcome.soldout<5%  status.503<1%       shares of all requests
//
// FindMax doubles the rate until a trial fails, then halves the gap between the highest that held
// and the lowest that failed, until it is below 5 %, then holds the rate in a longer run, and goes
// 5 % lower each time that fails:
//
//	rate  |        x            x  failed        low  = held in the hold run
//	      |     o     x  o      o  held          high = lowest that failed
//	      |  o      o      ####
//	      |o                        trials
//
// A trial whose run is invalid ends the rise: then the generator was the limit, and the answer says so.
package search
