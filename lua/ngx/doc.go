// Package ngx is the ngx.* API of OpenResty over a fasthttp request.
package ngx
