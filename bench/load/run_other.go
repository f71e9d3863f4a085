//go:build !linux

package load

import (
	"context"
	"fmt"

	"sluice/bench/load/record"
)

// Run needs epoll; elsewhere it says so.
func Run(context.Context, Config) (*record.Result, error) {
	return nil, fmt.Errorf("%w: the generator needs Linux (epoll); run it in a container or on the load machine", ErrConfig)
}
