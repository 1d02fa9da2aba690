package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// answer is what an endpoint gives back.
type answer struct {
	status   int
	body     any    // nil: no body
	location string // path of what was created, empty if nothing was
}

// errorBody is the body of every answer from 400 on.
type errorBody struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// httpError is a refusal that is known before the herder is asked.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// plain is Jersey's text of a status.
func plain(status int) error {
	return &httpError{status, fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))}
}

var statusOf = map[herder.Kind]int{
	herder.Invalid:     http.StatusBadRequest,
	herder.NotFound:    http.StatusNotFound,
	herder.Conflict:    http.StatusConflict,
	herder.Forbidden:   http.StatusForbidden,
	herder.Unavailable: http.StatusInternalServerError,
}

// refusal turns an error into the body of an answer. What isn't meant for callers
// is left out; unknown tells that the log must have it.
func refusal(ctx context.Context, err error) (body errorBody, unknown bool) {
	var ours *httpError
	var theirs *herder.Error
	switch {
	case errors.As(err, &ours):
		return errorBody{ours.status, ours.message}, false
	case errors.Is(context.Cause(ctx), errShutdown):
		return errorBody{http.StatusServiceUnavailable, "The worker is shutting down"}, false
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		message := "Request timed out"
		if errors.As(err, &theirs) {
			message += ". " + theirs.Message
		}
		return errorBody{http.StatusInternalServerError, message}, false
	case errors.As(err, &theirs):
		if status, known := statusOf[theirs.Kind]; known {
			return errorBody{status, theirs.Message}, false
		}
	}
	return errorBody{http.StatusInternalServerError, "The request failed; the worker's log says why"}, true
}

// answerTimeout bounds how long a caller may take to read an answer.
const answerTimeout = 15 * time.Second

// write sends an answer. Bodies are small, so that their length is told.
func write(w http.ResponseWriter, status int, body any) {
	// Nor do slow readers hold on to it.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	if body == nil {
		if status == http.StatusAccepted {
			w.Header().Set("Content-Length", "0")
		}
		w.WriteHeader(status)
		return
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		// Only a RawMessage that isn't JSON can do this.
		panic(fmt.Sprintf("encoding an answer: %v", err))
	}
	data := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a caller that went away has no use for an error
}

// list keeps nil lists from becoming null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
