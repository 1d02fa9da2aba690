package predicate

import (
	"strings"
	"testing"
	"time"
)

func TestLikeMatchesWholeTexts(t *testing.T) {
	for _, c := range []struct {
		pattern, escape, yes, no string // texts separated by spaces, . is the empty one
	}{
		{"", "", ".", "a"},
		{"%", "", ". a abc", ""},
		{"%%", "", ". a abc", ""},
		{"_", "", "a \u00e9 \u20ac \U0001f600 \xff", ". ab \u00e9\u00e9"},
		{"__", "", "ab \u00e9\xff \xe2\x82", ". a abc \u00e9"},
		{"a%", "", "a ab", ". ba"},
		{"%a", "", "a ba aa", ". ab"},
		{"ab%ba", "", "abba abxba ababa", "aba ab ba"},
		{"a%b%c", "", "abc axbxc abcc abbcbc", "ac acb ab"},
		{"%aab%", "", "aab aaab xaaabx", "aa ab aba"},
		{"%_b", "", "ab xab bb", "b ba"},
		{"a_%_c", "", "axxc axyzc abcc", "ac axc abcd"},
		{"%\u00e9_", "", "\u00e9a x\u00e9\u00e9", "\u00e9 \u00e9ab"},
		{"a\\%", "", "a\\ a\\b", "a%"},
		{"a\\%", "\\", "a%", "a\\ a\\b"},
		{"a%%%", "%", "", "a"},
		{"\u00e9_\u00e9\u00e9", "\u00e9", "_\u00e9", "\u00e9_\u00e9\u00e9"},
	} {
		p, err := newPattern(c.pattern, c.escape, true)
		if c.pattern == "a%%%" {
			if err == nil {
				t.Errorf("%s: the last escape has nothing to escape", c.pattern)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.pattern, err)
		}
		for texts, want := range map[string]bool{c.yes: true, c.no: false} {
			for _, s := range strings.Fields(texts) {
				if s == "." {
					s = ""
				}
				if p.match([]byte(s)) != want {
					t.Errorf("%q LIKE %q is %v", s, c.pattern, !want)
				}
			}
		}
	}
}

func TestLikeTakesNoExponentialTime(t *testing.T) {
	p, err := newPattern(strings.Repeat("%a_", 20)+"%b", "", true)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if p.match([]byte(strings.Repeat("a", 20000))) {
		t.Error("it matches without a b")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}
