// Package record is the one format of everything Sluice keeps in memcached:
// a versioned value behind a 24-byte header.
//
//	 0      1      2     3      4         12          20       24
//	+------+------+-----+------+---------+-----------+--------+---------
//	| 0xB9 |  1   |type | flags| version | commit ms | crc32c | payload
//	+------+------+-----+------+---------+-----------+--------+---------
//	  magic  format                big endian          of all the rest
//
// Nothing else writes or reads this header. What is not a whole record of a
// known format is a miss, never a guess: Parse says which kind of miss, so
// that it can be counted.
//
// A Version orders all writes of a key, whoever makes them:
//
//	epoch 12 bits | milliseconds since 2025-01-01 42 bits | counter 10 bits
//
// It is minted by the home, inside the script that changes the state (package
// changelog); fills, snapshots and repairs carry it and never mint one.
package record
