// Package bench holds the commands `sluice bench` and `sluice plan`.
//
// bench sends load to a gateway and tells the truth about it (package load); plan turns what it
// found into a number of machines for a night (package plan). peers/ and lua/ beside it compare
// the gateway with nginx and Lua on the same machine.
//
//	sluice bench http://127.0.0.1:8080 -c sluice.yaml --scenario preset:draw --rate 5000 --duration 30s \
//	    --slo 'p99<50ms,errors<0.1%' --json run.json --html run.html
//	sluice bench http://127.0.0.1:8080/hello --find-max --slo 'p99<10ms'
//	sluice bench merge worker1.json worker2.json --json all.json
//	sluice plan all.json --users 50000000 --html plan.html
//
// Exit codes, in this place only:
//
//	0  the run is valid, and every objective held
//	1  it could not be run
//	2  usage: flags, scenario, curve, objectives, or a target that is not owned
//	3  an objective was missed, or no rate holds them (--find-max)
//	4  the run is invalid: the generator was the limit
//	5  worse than the baseline
//
// When several apply the order is 4, 3, 5: an invalid run proves nothing.
package bench
