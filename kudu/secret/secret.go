// Package secret has a type for what must not reach a log, an error or a reply.
package secret

import (
	"fmt"
	"unique"
)

// Text is a secret text. It prints as *** with every verb of fmt and in every
// encoding. Within a struct's unexported fields, where fmt asks no methods, there is
// an address in its place. Two that hold the same text are equal; the zero value
// holds the empty one. Text is safe for concurrent use.
type Text struct{ held unique.Handle[string] }

const masked = "***"

// New holds a text.
func New(text string) Text {
	if text == "" {
		return Text{}
	}
	return Text{unique.Make(text)}
}

// Reveal returns the text itself, for the call that needs it and nothing else.
func (t Text) Reveal() string {
	if t == (Text{}) {
		return ""
	}
	return t.held.Value()
}

// Empty tells whether there is no text.
func (t Text) Empty() bool { return t == Text{} }

// String returns ***, or nothing for the empty text.
func (t Text) String() string {
	if t.Empty() {
		return ""
	}
	return masked
}

// Format prints the same with verbs that would go around String, such as %x and %#v.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// MarshalText masks the text in JSON, YAML and wherever else texts are encoded.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
