// Package record keeps what happened in a run and writes it as JSON that runs can be merged and
// compared by.
//
// Every request has four moments:
//
//	intended        taken up         sent            done
//	   |---- lag -------|---- wait ----|--- service ---|
//	   |------------------ latency --------------------|
//
// intended is when the curve, or the think time, wanted it; lag is the generator's own fault; wait
// is for a free connection, which is the server's fault when all are busy. Latency counts from the
// intended moment, so a server that stalls cannot hide the requests it kept from being sent
// (coordinated omission). Requests that fail count too, a timeout with its whole time.
//
// A Recorder belongs to one loop, which holds its lock while it works, so that a live view may look.
// A Result is the JSON; its Schema is "sluice.bench/1", histograms are base64 HdrHistogram V2 in
// nanoseconds, so that Merge of several workers' results loses nothing.
package record
