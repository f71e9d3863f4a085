package warmup_test

import (
	"testing"

	"sluice/cachesync/warmup"
	"sluice/internal/servers"
)

// BenchmarkWarm is one synthetic record from the generator to memcached; see
// bench/warm for the comparison.
func BenchmarkWarm(b *testing.B) {
	addr := servers.Memcached(b, "-m", "2048", "-t", "1")
	cfg := config(b, int64(b.N), addr)
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := warmup.Run(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
}
