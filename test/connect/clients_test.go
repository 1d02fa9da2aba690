package connect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// outcome is what a client made of one call.
type outcome struct {
	Call   string
	Result any
	Text   string // a result that is a sentence of the client's own
	Error  string // a status, or the name of an exception
}

// made are calls that show a connector in the moment of its making.
var made = []string{"create_connector", "create_connector failing", "create_or_update"}

func testClients(t *testing.T, theirs, ours *side) {
	b, a := theirs.runClients(t), ours.runClients(t)
	if len(a) != len(b) || len(a) < 70 {
		t.Fatalf("%d calls on our side, %d on Connect's", len(a), len(b))
	}
	for i, o := range a {
		c := b[i]
		if o.Call != c.Call || o.Error != c.Error || o.Text != c.Text {
			t.Errorf("%s: error %q %q, in Connect %s: %q %q", o.Call, o.Error, o.Text, c.Call, c.Error, c.Text)
			continue
		}
		root := ""
		if strings.Contains(o.Call, "config") && !strings.Contains(o.Call, "validate") {
			root = plainMaps[0]
		}
		found := compare(shapeOf(c.Result, root), shapeOf(o.Result, root), "$")
		if slices.Contains(made, o.Call) && slices.Equal(found, differences["tasks at once"].shape) {
			continue
		}
		for _, d := range found {
			t.Errorf("%s: %s\nConnect: %.500v\n   ours: %.500v", o.Call, d, c.Result, o.Result)
		}
	}
	// A call that fails on both sides proves nothing.
	for _, o := range a {
		if wrong := slices.ContainsFunc([]string{"nope", "wrong", "again"}, func(word string) bool { return strings.HasSuffix(o.Call, word) }); o.Error != "" && !wrong {
			t.Errorf("%s failed: %s", o.Call, o.Error)
		}
	}
}

// runClients has the clients call every method they have.
func (s *side) runClients(t *testing.T) []outcome {
	t.Helper()
	cmd, err := testenv.ConnectClientsCommand(t.Context(), "testdata/clients.py")
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(map[string]any{"url": s.url, "class": s.class, "config": s.good, "bad": s.bad})
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: the clients ended with %v after\n%.2000s\n%s", s.name, err, out, stderr.String())
	}
	var outcomes []outcome
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o outcome
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatalf("%s: %v in %s", s.name, err, lines.Text())
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}
