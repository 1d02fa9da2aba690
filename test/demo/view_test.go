package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"demo-worker.yaml", "demo-orders.yaml", "binary"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(env map[string]string) (settings, error) {
		return readSettings([]string{"-binary", dir + "/binary", "-configs", dir}, func(name string) string { return env[name] })
	}
	s, err := read(nil)
	if err != nil || s.length != 0 || s.rate != defaultRate || s.scene != scenes["offset"] {
		t.Errorf("without variables: %+v, %v", s, err)
	}
	s, err = read(map[string]string{"DEMO_SECONDS": "2.5", "DEMO_RATE": "7", "MODE": "offset"})
	if err != nil || s.length != 2500*time.Millisecond || s.rate != 7 {
		t.Errorf("with variables: %+v, %v", s, err)
	}
	for _, bad := range []string{"DEMO_SECONDS=-1", "DEMO_SECONDS=NaN", "DEMO_SECONDS=x", "DEMO_RATE=0", "DEMO_RATE=1e3", "MODE=quick"} {
		name, value, _ := strings.Cut(bad, "=")
		if _, err := read(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := readSettings([]string{"-binary", dir + "/none", "-configs", dir}, func(string) string { return "" }); err == nil {
		t.Error("a missing binary is no error")
	}
}

func TestTerminalIsRedrawnInPlace(t *testing.T) {
	var out strings.Builder
	columns, rows := 10, 4
	s := &screen{out: &out, size: func() (int, int, bool) { return columns, rows, true }}
	draw := func(lines ...string) string {
		t.Helper()
		out.Reset()
		if err := s.draw(lines); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := draw("one", "\x1b[31mvery long line"), "\rone\x1b[K\n\r [31mve...\x1b[K\n\x1b[J"; got != want {
		t.Errorf("drew %q, want %q", got, want)
	}
	if got, want := draw("two"), "\x1b[2A\rtwo\x1b[K\n\x1b[J"; got != want {
		t.Errorf("drew %q, want %q", got, want)
	}
	// More than fit would scroll, and the next drawing start in the middle.
	if got := draw("1", "2", "3", "4", "5"); strings.Count(got, "\n") != rows-1 {
		t.Errorf("drew %q on %d rows", got, rows)
	}
	s.say("stays")
	if got := draw("three"); strings.Contains(got, "A\r") {
		t.Errorf("drew over a line that stays: %q", got)
	}
}

func TestElsewhereLinesFollowEachOther(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, size: func() (int, int, bool) { return 0, 0, false }}
	for range 2 {
		if err := s.draw([]string{strings.Repeat("x", 300), "y"}); err != nil {
			t.Fatal(err)
		}
	}
	if want := strings.Repeat(strings.Repeat("x", 300)+"\ny\n", 2); out.String() != want {
		t.Errorf("wrote %q", out.String())
	}
}

func TestViewCountsRowsPerSecondOfTheLastSeconds(t *testing.T) {
	var v view
	now := time.Now()
	for i := range int64(10) {
		v.consumed(topicCount{rows: i * 100}, "k", "v")
		v.lines(now.Add(time.Duration(i) * time.Second))
	}
	v.positions([]mark{{"bbbbbbbbbb", 1, "{}"}, {"aaaaaaaaaa", 1, "{}"}, {"cccccccccc", 0, "{}"}})
	v.warn("careful")
	// The rows stopped: over three seconds, one of them without any.
	lines := v.lines(now.Add(10 * time.Second))
	if !strings.Contains(lines[1], "900 in the topic, 67 rows/s") {
		t.Errorf("line is %q", lines[1])
	}
	want := []string{"cccccccc", "aaaaaaaa", "bbbbbbbb"}
	var got []string
	for _, line := range lines[4:7] {
		got = append(got, strings.Fields(line)[1])
	}
	if !slices.Equal(got, want) || !strings.Contains(lines[7], "careful") {
		t.Errorf("lines are\n%s", strings.Join(lines, "\n"))
	}
}

func TestViewIsWholeOnceEachPartHasSomethingToShow(t *testing.T) {
	var v view
	parts := []struct {
		name string
		add  func()
	}{
		{"nothing", func() {}},
		{"rows", func() { v.consumed(topicCount{rows: 1}, "k", "v") }},
		{"positions", func() { v.positions([]mark{{"a", 0, "{}"}}) }},
		{"a connector that starts", func() { v.connector("orders is STARTING: 1 of 4 tasks on 1 worker") }},
	}
	for _, part := range parts {
		part.add()
		if v.whole() {
			t.Errorf("it is whole with no more than %s", part.name)
		}
	}
	v.connector("orders is RUNNING: 4 of 4 tasks on 1 worker")
	if !v.whole() {
		t.Error("it is not whole with all of it")
	}
}

func TestBitsetTellsWhatIsNew(t *testing.T) {
	var s bitset
	for _, n := range []int64{0, 63, 64, 1000, 1} {
		if !s.add(n) {
			t.Errorf("%d was there before", n)
		}
		if s.add(n) {
			t.Errorf("%d was not there after", n)
		}
	}
}
