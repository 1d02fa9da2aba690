package main

import (
	"strings"
	"testing"
)

// Shells ask the program itself, by a hidden command, what to complete a line with.
func TestShellsCompleteCommandsFlagsAndTheFilesThatACommandTakes(t *testing.T) {
	const yaml, nothing, anyFile = "yaml\nyml\n:8\n", ":4\n", ":0\n"
	for line, want := range map[string]string{
		"offsets im":               "import\tStore positions that export has printed\n" + nothing,
		"status --wa":              "--watch\tshow it again every 2 seconds, until interrupted\n" + nothing,
		"run ":                     yaml,
		"run w.yaml ":              yaml,
		"run w.yaml c.yaml ":       yaml,
		"config validate ":         yaml,
		"health ":                  yaml,
		"offsets import w c ":      anyFile, // what export has printed
		"offsets import w ":        yaml,
		"offsets reset w ":         yaml,
		"version ":                 nothing,
		"config reference ":        nothing,
		"completion fi":            "fish\tGenerate the autocompletion script for fish\n" + nothing,
		"check w.yaml c.yaml --js": "--json\tprint a JSON object\n" + nothing,
	} {
		h := newHarness(t, nil, "")
		words := strings.Split(line, " ")
		if code := h.execute(append([]string{"__complete"}, words...)); code != exitOK || h.out.String() != want {
			t.Errorf("%q is completed by %q, code %d, want %q", line, h.out.String(), code, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		h := newHarness(t, nil, "")
		if code := h.execute([]string{"completion", shell}); code != exitOK || !strings.Contains(h.out.String(), "__complete") {
			t.Errorf("the script for %s: code %d, %.200s", shell, code, h.out.String())
		}
	}
}
