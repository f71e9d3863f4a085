// Package relations answers whether somebody is a fan of a sender, for the audience `fans`.
//
//	Cached ──miss──▶ HTTP provider: GET <url>?sender=S&fan=F  ->  200 {"fan":true}
//
// Answers are kept for a while in the process, yes longer than no: somebody who has just
// begun to follow should not wait long. A provider that is slow or down makes the draw
// "later", never a guess: an error is returned and nothing is cached.
//
// All types are safe for concurrent use.
package relations
