package regex

import "sluice/lua/vm"

// Config is what ngx.re needs from the runtime.
type Config struct {
	// Cache holds what was compiled with the "o" option, for all VMs of the
	// process; zero value means that nothing is kept.
	Cache *Cache
	// MatchLimit is lua_regex_match_limit; zero value means PCRE's own default.
	MatchLimit int
	// Log receives the messages that nginx writes to its error log (level
	// error); zero value means they are dropped.
	Log func(t *vm.Thread, msg string)
}

// Install sets ngx.re in ngx: match, find, gmatch, sub, gsub.
func Install(ngx *vm.Table, c Config) {}
