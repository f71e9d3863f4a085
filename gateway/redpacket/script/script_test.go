package script

import (
	"strings"
	"testing"
)

func TestScriptsKeepTheRules(t *testing.T) {
	book, err := NewBook()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range All() {
		text := book.bodies[n]
		for _, word := range []string{"pcall", "struct.", "bit.", "cjson", "math.random", "EVAL"} {
			if strings.Contains(text, word) {
				t.Errorf("%s uses %s", n, word)
			}
		}
		for line := range strings.Lines(text) { // multiple assignment: Redis and miniredis disagree on it
			left, _, ok := strings.Cut(line, " = ")
			if ok && strings.Contains(left, ",") && !strings.Contains(left, "(") && !strings.Contains(left, "for ") && !strings.Contains(left, "{") {
				t.Errorf("%s assigns to several names: %s", n, line)
			}
		}
	}
}

func TestEpochIsInEveryTextAndAnyChangeIsInTheProbe(t *testing.T) {
	book, err := NewBook()
	if err != nil {
		t.Fatal(err)
	}
	one, two := book.At(1), book.At(2)
	for _, n := range All() {
		if one.SHA(n) == two.SHA(n) {
			t.Errorf("%s has one SHA for two epochs", n)
		}
	}
	if err := book.Replace(Draw, "had", "had2"); err != nil {
		t.Fatal(err)
	}
	if book.At(1).SHA(Probe) == one.SHA(Probe) || book.At(1).SHA(Draw) == one.SHA(Draw) || book.At(1).SHA(Close) != one.SHA(Close) {
		t.Error("the probe does not tell that another script changed")
	}
}
