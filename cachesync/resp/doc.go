// Package resp is a lean pipelined Redis client for the hot path.
package resp
