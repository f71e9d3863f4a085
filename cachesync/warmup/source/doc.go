// Package source reads what a warm-up loads: rows of CSV and JSON lines (plain,
// gzip, zstd; files, globs, stdin), of SQL tables, of HTTP pages, or made up.
//
//	r, err := src.Open(ctx, pos)         // the zero Position is the beginning
//	for {
//		row, err := r.Next()             // valid until the next call
//		switch {
//		case err == io.EOF:              // the whole source was read
//		case errors.As(err, &badRow):    // this row cannot be used, the next one may be
//		case err != nil:                 // the source failed: *Error says where
//		}
//		pos = r.Position()               // where to go on after a crash
//	}
//
// Rows come in one order, always the same, so that a Position means something
// in the next run. Memory does not grow with the source: lines and pages have a
// limit, SQL is read page by page behind the last key (never OFFSET, which
// would read all over again).
//
// Most active first: SQL sorts by the activity column; files are read several
// times, from the most active band of rows to the least (Bands).
//
// A Source may be opened again and again; a Reader belongs to one goroutine.
package source
