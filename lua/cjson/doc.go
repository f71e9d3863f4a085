// Package cjson is lua-cjson 2.1 as OpenResty ships it: the modules cjson and
// cjson.safe, and the same encoder and decoder for Go code that holds Lua
// values.
//
//	table --Encode--> appended to a []byte      no reflection, no copy
//	[]byte --Decode--> vm tables                strings without escapes alias the text
//
// Numbers are written with %.14g, '/' as "\/", and every error has
// lua-cjson's own words ("Expected value but found invalid token at
// character 1").
//
// A module value belongs to one VM and has a configuration of its own
// (cjson.new gives another); an Options value may be shared by goroutines as
// long as nobody changes it.
package cjson
