package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"
)

const hidden = "hunter2-hunter2"

type open struct {
	Name     string
	Password Text
	More     []Text
	By       map[string]Text
	To       *Text
}

type closed struct {
	name     string
	password Text
	more     []Text
	by       map[string]Text
	to       *Text
	any      any
	open     open
}

func holders() map[string]any {
	s := New(hidden)
	o := open{"ann", s, []Text{s}, map[string]Text{"a": s}, &s}
	return map[string]any{
		"itself": s, "a pointer": &s, "a list": []Text{s}, "an array": [1]Text{s}, "a map": map[string]Text{"ann": s}, "a map's key": map[Text]string{s: "ann"},
		"any": []any{s}, "exported": o, "exported, pointer": &o, "a function": func() Text { return s },
		"unexported":          closed{"ann", s, []Text{s}, map[string]Text{"a": s}, &s, s, o},
		"unexported, pointer": &closed{"ann", s, []Text{s}, map[string]Text{"a": s}, &s, s, o},
	}
}

// leaks tells whether a text has the secret in some form.
func leaks(text string) bool {
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprintf("% x", hidden), fmt.Sprintf("%d", []byte(hidden)), fmt.Sprintf("%#v", []byte(hidden))} {
		if strings.Contains(text, strings.Trim(form, "[]")) {
			return true
		}
	}
	return false
}

func TestTextIsPrintedByNoVerbAndNoEncoding(t *testing.T) {
	for name, v := range holders() {
		for _, flags := range []string{"", "+", "#", "-40", " ", "0", "+#"} {
			for verb := 'A'; verb <= 'z'; verb++ {
				if text := fmt.Sprintf("%"+flags+string(verb), v); leaks(text) {
					t.Errorf("%s by %%%s%c: %s", name, flags, verb, text)
				}
			}
		}
		if text := fmt.Sprint(v) + fmt.Sprintln(v) + fmt.Errorf("of %v", v).Error(); leaks(text) {
			t.Errorf("%s: %s", name, text)
		}
		for how, encode := range map[string]func() ([]byte, error){
			"JSON": func() ([]byte, error) { return json.Marshal(v) },
			"YAML": func() ([]byte, error) {
				if name == "a function" {
					return nil, nil // a panic of the library
				}
				return yaml.Marshal(v)
			},
			"XML": func() ([]byte, error) { return xml.Marshal(v) },
			"gob": func() ([]byte, error) {
				var out bytes.Buffer
				err := gob.NewEncoder(&out).Encode(v)
				return out.Bytes(), err
			},
		} {
			if text, err := encode(); leaks(string(text) + fmt.Sprint(err)) {
				t.Errorf("%s as %s: %s, %v", name, how, text, err)
			}
		}
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("said", "it", v, slog.Group("all", "it", v))
		}
		for _, asJSON := range []bool{false, true} {
			hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: asJSON}).With("with", v).Info("said", "it", v, "fmt", hclog.Fmt("%+v", v))
		}
		if leaks(out.String()) || strings.Count(out.String(), "said") != 4 {
			t.Errorf("%s in logs: %s", name, out.String())
		}
	}
}

func TestTextIsShownToBeThereAndRevealedWhenAsked(t *testing.T) {
	s := New(hidden)
	encoded, err := json.Marshal(open{Password: s})
	if fmt.Sprint(s) != "***" || fmt.Sprintf("%+v", struct{ P Text }{s}) != "{P:***}" || err != nil || !strings.Contains(string(encoded), `"Password":"***"`) {
		t.Errorf("%v, %s, %v", s, encoded, err)
	}
	if s.Reveal() != hidden || s != New(hidden) || s == New("other") || s.Empty() {
		t.Error("the text isn't what was given")
	}
	if e := New(""); e != (Text{}) || !e.Empty() || e.Reveal() != "" || fmt.Sprint(e) != "" {
		t.Error("the empty text is something")
	}
}
