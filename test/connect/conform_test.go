package connect

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func TestRESTInterfaceIsThatOfKafkaConnect(t *testing.T) {
	theirs, ours := sides(t)
	t.Run("call by call", func(t *testing.T) { testCalls(t, theirs, ours) })
	t.Run("to third-party clients", func(t *testing.T) { testClients(t, theirs, ours) })
}

func testCalls(t *testing.T, theirs, ours *side) {
	used := map[string]bool{}
	for _, part := range []struct {
		name  string
		steps []step
	}{
		{"root", rootSteps},
		{"create", createSteps},
		{"read", readSteps},
		{"config", configSteps},
		{"actions", actionSteps},
		{"failure", failureSteps},
		{"plugins", pluginSteps},
		{"loggers", loggerSteps},
		{"offsets", offsetSteps},
	} {
		for _, c := range part.steps {
			if c.method == "DELETE" && c.path == "/connectors/src/offsets" && part.name == "offsets" {
				alter(t, theirs, ours)
			}
			b, a := theirs.send(t, c), ours.send(t, c)
			if c.follows {
				testenv.Eventually(t.Context(), patience, func() bool {
					b, a = theirs.send(t, c), ours.send(t, c)
					return len(differ(theirs, ours, c, b, a)) == 0
				})
			}
			for _, d := range differ(theirs, ours, c, b, a) {
				t.Errorf("%s: %s: %s\nConnect: %d %.500s\n   ours: %d %.500s", part.name, c, d, b.status, b.body, a.status, a.body)
			}
			used[c.differs] = true
			if c.await != nil {
				c.await(t, theirs)
				c.await(t, ours)
			}
		}
	}
	for name, d := range differences {
		if !used[name] {
			t.Errorf("no call shows the difference %q (%s)", name, d.why)
		}
	}
}

// alter gives each side the offsets back that it shows.
func alter(t *testing.T, theirs, ours *side) {
	t.Helper()
	c := step{method: "PATCH", path: "/connectors/src/offsets"}
	var answers []answer
	for _, s := range []*side{theirs, ours} {
		shown := s.send(t, step{method: "GET", path: "/connectors/src/offsets"})
		if !strings.Contains(shown.body, "partition") {
			return // not stopped yet, or all reset
		}
		c.body = shown.body
		answers = append(answers, s.send(t, c))
		if again := s.send(t, step{method: "GET", path: "/connectors/src/offsets"}); again.body != shown.body && s == ours && answers[len(answers)-1].status == http.StatusOK {
			t.Errorf("offsets are %s, then %s", shown.body, again.body)
		}
	}
	for _, d := range differ(theirs, ours, c, answers[0], answers[1]) {
		t.Errorf("%s: %s\nConnect: %d %.500s\n   ours: %d %.500s", c, d, answers[0].status, answers[0].body, answers[1].status, answers[1].body)
	}
}

// differ says what is not as it must be in the answers to one call: differences that
// aren't allowed, and allowed ones that aren't there.
func differ(theirs, ours *side, c step, b, a answer) []string {
	var found []string
	allowed := differences[c.differs]
	if c.differs != "" && allowed.why == "" {
		return []string{"names an unknown difference"}
	}
	if allowed.theirs != 0 {
		if b.status != allowed.theirs || a.status != allowed.ours {
			found = append(found, "statuses are not those of the difference")
		}
	} else if a.status != b.status {
		found = append(found, "statuses differ")
	}
	headers := headersOf(theirs, ours, b, a)
	if allowed.headers != (len(headers) > 0) {
		found = append(found, append(headers, "headers, allowed to differ only where they do")...)
	}
	if textsDiffer := theirs.textOf(b) != ours.textOf(a); textsDiffer != allowed.text {
		found = append(found, "texts, allowed to differ only where they do")
	}
	if a.status >= 400 || b.status >= 400 {
		return found
	}
	root := ""
	if c.flat {
		root = plainMaps[0]
	}
	shapes := compare(shapeOf(parsed(b.body), root), shapeOf(parsed(a.body), root), "$")
	if !slices.Equal(shapes, allowed.shape) {
		found = append(found, shapes...)
	}
	return found
}

// headersOf compares what clients read of the headers. Connect leaves the type out
// of some errors.
func headersOf(theirs, ours *side, b, a answer) []string {
	var found []string
	if kind := b.header.Get("Content-Type"); kind != "" && a.status < 500 && mediaType(kind) != mediaType(a.header.Get("Content-Type")) {
		found = append(found, "Content-Type is "+a.header.Get("Content-Type"))
	}
	if strings.TrimPrefix(b.header.Get("Location"), theirs.url) != strings.TrimPrefix(a.header.Get("Location"), ours.url) {
		found = append(found, "Location is "+a.header.Get("Location"))
	}
	if allow := methodsOf(b); len(allow) > 0 && !slices.Equal(allow, methodsOf(a)) {
		found = append(found, "Allow is "+a.header.Get("Allow"))
	}
	return found
}

func mediaType(header string) string {
	kind, _, err := mime.ParseMediaType(header)
	if err != nil {
		return header
	}
	return kind
}

func methodsOf(a answer) []string {
	methods := strings.FieldsFunc(a.header.Get("Allow"), func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(methods)
	return methods
}

// textOf is the sentence of an answer, with the side's class left out.
func (s *side) textOf(a answer) string {
	body, ok := parsed(a.body).(map[string]any)
	if !ok {
		if a.status >= 400 {
			return a.body
		}
		return ""
	}
	_, isError := body["error_code"]
	text, _ := body["message"].(string)
	if !isError && len(body) > 1 {
		return ""
	}
	return strings.ReplaceAll(text, s.class, "CLASS")
}
