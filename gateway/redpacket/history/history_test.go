package history

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

func TestModelTellsRightHistoriesFromWrongOnes(t *testing.T) {
	op := func(uid, outcome string, share, call, back int64) porcupine.Operation {
		return porcupine.Operation{Input: Draw{uid}, Output: Answer{Outcome: outcome, Share: share, Lost: outcome == ""}, Call: call, Return: back}
	}
	f := func(want bool, ops ...porcupine.Operation) {
		t.Helper()
		for i := range ops {
			ops[i].ClientId = i
		}
		if got := porcupine.CheckOperations(Model(1), ops); got != want {
			t.Errorf("%v: %v", ops, got)
		}
	}
	f(true, op("a", "won", 0, 1, 2), op("a", "already", 0, 3, 4), op("b", "soldout", 0, 5, 6))
	f(true, op("a", "", 0, 1, 2), op("a", "already", 0, 3, 4))
	f(true, op("a", "won", 0, 1, 9), op("b", "soldout", 0, 2, 3))
	f(false, op("a", "won", 0, 1, 2), op("b", "won", 0, 3, 4))     // a share twice
	f(false, op("b", "soldout", 0, 1, 2), op("a", "won", 0, 3, 4)) // soldout too early
	f(false, op("a", "won", 0, 1, 2), op("a", "soldout", 0, 3, 4)) // a win hidden
	f(false, op("a", "already", 0, 1, 2), op("a", "won", 0, 3, 4)) // already before it won
}
