package sqlstore

import (
	"context"

	"sluice/gateway/ledger"
)

// chunk is how many awards pass from the reader to the caller at a time.
const chunk = 512

// awards calls fn for each award of a red packet while a goroutine reads on: a
// million awards are read on one core and looked at on another. It returns
// only when the goroutine has ended, for the transaction is not its own.
func (s *Store) awards(ctx context.Context, tx Tx, k int64, fn func(*ledger.Award) error) error {
	full := make(chan []ledger.Award, 4)
	empty := make(chan []ledger.Award, 6)
	quit := make(chan struct{})
	var failed error // of the reader, read after full is closed
	go func() {
		defer close(full)
		buf := make([]ledger.Award, 0, chunk)
		pass := func() error {
			select {
			case full <- buf:
			case <-quit:
				return ledger.Stop
			}
			select {
			case buf = <-empty:
			default:
				buf = make([]ledger.Award, 0, chunk)
			}
			buf = buf[:0]
			return nil
		}
		failed = s.d.Awards(ctx, tx, k, func(a *ledger.Award) error {
			buf = append(buf, *a)
			if len(buf) < chunk {
				return nil
			}
			return pass()
		})
		if failed == nil {
			failed = pass()
		}
	}()
	err := each(full, empty, fn)
	close(quit)
	for range full { // until the reader has ended
	}
	if err == nil {
		err = failed
	}
	return err
}

func each(full <-chan []ledger.Award, empty chan<- []ledger.Award, fn func(*ledger.Award) error) error {
	for list := range full {
		for i := range list {
			if err := fn(&list[i]); err != nil {
				return err
			}
		}
		select {
		case empty <- list:
		default:
		}
	}
	return nil
}
