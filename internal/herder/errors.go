package herder

// Kind says what a caller can do about an error; the REST listener turns it into a
// status code.
type Kind int

// The kinds of errors.
const (
	// Invalid: the request is wrong and will stay wrong (400).
	Invalid Kind = iota + 1
	// NotFound: there is no such connector, task, plugin or logger (404).
	NotFound
	// Conflict: the present state is against it; asked again later it may pass (409).
	Conflict
	// Forbidden: switched off by configuration (403).
	Forbidden
	// Unavailable: Kafka or the other workers didn't answer in time (500, as Kafka
	// Connect has it).
	Unavailable
)

// Error is a refusal, with a sentence for the person who asked.
type Error struct {
	Kind    Kind
	Message string
	Cause   error // may be nil; not told to the caller
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }
