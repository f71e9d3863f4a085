// Package pcre is a backtracking matcher for PCRE's (version 1) regular
// expressions, on bytes or, with Options.UTF, on UTF-8.
//
// A pattern is parsed to a tree (parse*.go), compiled to instructions
// (compile.go), looked at for what makes searches short (analyse.go: plain
// prefix, first bytes, a byte that must occur, loops that need not give back)
// and run (run.go). Choices are frames on a stack of our own:
//
//	frame: go on at pc with place a | loop gives back | capture was a..b | ...
//
// so neither depth nor length of the subject can overflow the goroutine's
// stack. Steps are counted as PCRE counts calls of match(); at the limit the
// search ends with -8. FindLongest follows all paths side by side instead
// (option "d").
//
// What differs from PCRE: \X knows marks, not Hangul; callouts (?C) do
// nothing; newline is always \n; recursion is limited to 5000 levels.
// testdata/pcre.tsv holds what libpcre 8.39 says to four thousand random
// patterns.
//
// A Regexp may be used by many goroutines at once.
package pcre
