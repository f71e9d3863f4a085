// Package plan answers "how many machines for this night?" with a number, its error bar and a page.
//
// Measured: m requests a second that one machine held (bench --find-max), with its error bar
// m_low..m_high. Given: N users, of whom a share s1 arrives in the first second and s60 in the first
// minute; each makes r requests, d apart; a machine of the night is k times the measured one; h of
// it is kept free; an answer may wait D; one of R regions may be lost.
//
//	arrivals   F(t) = s1*t                                       t <= 1 s
//	           F(t) = s1 + (s60-s1) * ln(t)/ln(60)               1 s < t <= 60 s
//	requests   A(t) = N * sum over j < r of F(t - j*d)
//	need       C    = max over s < t of (A(t)-A(s)) / (t-s+D)    no queue is ever longer than D
//	machine    c    = m * k * (1-h)
//	machines   n    = ceil(C/c * R/(R-1))                        R = 1: ceil(C/c)
//	low end         = ceil(C/c_high * ...)
//	high end        = ceil((C + 2*sqrt(C))/c_low * ...)          and chance: two deviations of Poisson
//
// The need is the smallest constant rate of service whose backlog never makes anybody wait longer
// than D (Cruz's network calculus: service curve under an arrival curve). Buy the high end.
//
// What it does not know: the home's Redis and the network have limits of their own; measure them with
// the same scenario, and plan each tier by the one that was the limit.
package plan
