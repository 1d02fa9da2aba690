package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is far above any configuration of a connector.
const maxBody = 1 << 20

// bodyTimeout bounds how long a body may take to come.
const bodyTimeout = 15 * time.Second

var errTooLarge = &httpError{http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB"}

// readBody reads a whole body. It refuses a large one by its announced length,
// before anything is read, and otherwise at the first byte too many.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	control := http.NewResponseController(w)
	// Not every writer of a test has deadlines.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{})
	busy(r.Context(), true)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &httpError{http.StatusRequestTimeout, "The body did not come in time"}
	case err != nil:
		return nil, badRequest("The body could not be read to its end")
	}
	return data, nil
}

// decode reads a body that must be one JSON value. It is stricter than Go's
// decoder: names of fields are compared with their case, text must be UTF-8, and
// nothing may follow.
func decode(w http.ResponseWriter, r *http.Request) (json.RawMessage, error) {
	data, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, badRequest("The request has no body; a JSON object is needed")
	}
	if !utf8.Valid(data) {
		return nil, badRequest("The body is not UTF-8")
	}
	var value json.RawMessage
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, badRequest("The body is not JSON: %s", syntaxOf(err))
	}
	return value, nil
}

// syntaxOf is what the decoder says of the text, with its place.
func syntaxOf(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Error() + " at byte " + strconv.FormatInt(syntax.Offset, 10)
	}
	return err.Error()
}

// object takes an object apart. what names it in messages; fields are those it may
// have, none given: any.
func object(value json.RawMessage, what string, fields ...string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if isNull(value) || json.Unmarshal(value, &members) != nil {
		return nil, badRequest("%s must be a JSON object", what)
	}
	if len(fields) == 0 {
		return members, nil
	}
	for name := range members {
		if !slices.Contains(fields, name) {
			return nil, badRequest("%s has a field %q; it may have %s", what, shorten(name), strings.Join(fields, ", "))
		}
	}
	return members, nil
}

// text reads a value of a configuration: a string, or a number or a boolean as it
// is written. null gives nil.
func text(value json.RawMessage, what string) (*string, error) {
	if len(value) == 0 || isNull(value) {
		return nil, nil //nolint:nilnil // null is a value
	}
	switch value[0] {
	case '{', '[':
		return nil, badRequest("%s must be text, not an object or a list", what)
	case '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return nil, badRequest("%s is not text: %v", what, err)
		}
		return &s, nil
	}
	s := string(value)
	return &s, nil
}

// texts reads an object of texts, such as a configuration.
func texts(value json.RawMessage, what string) (map[string]*string, error) {
	members, err := object(value, what)
	if err != nil {
		return nil, err
	}
	read := make(map[string]*string, len(members))
	for name, member := range members {
		if read[name], err = text(member, "The value of "+shorten(name)); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// shorten keeps a caller's own text from filling the answer.
func shorten(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
