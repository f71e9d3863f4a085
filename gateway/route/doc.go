// Package route reads routes.yaml and finds the route of a request.
//
//	shared: {limits: 1048576}               # ngx.shared.limits has so many bytes
//	init: [init.lua]                        # in each new VM, before any request
//	init_worker: [worker.lua]               # once when the bundle goes live
//	routes:
//	  - name: draw                          # in metrics and logs; unique
//	    method: POST
//	    path: /v1/redpackets/{id}/draw      # {id} is ngx.var.id in the handler
//	    access: [access/auth.lua]           # phases before the content, in order
//	    content: redpacket_draw.lua
//	    enabled: true                       # the kill switch: false answers 503 "later"
//	    budget: {wall_time: 500ms, calls: 5} # overrides the defaults of sluice.yaml
//	    body_bytes: 1048576                 # a body may be larger than limits.body_bytes
//
// A path parameter is 1 to 64 characters of [A-Za-z0-9_.~-]: what a client
// puts there can never break out of a cache key. Anything else in its place
// is a 400. A static segment wins over a parameter.
//
// A Table is immutable and may be used by all goroutines at once; Find does
// not allocate.
package route
