// Package status shows people what a group of workers does: a page for browsers, a
// JSON document behind it, and the same as text for terminals.
//
// A [Recorder] looks at the herder's overview every two seconds, so that rates and
// their history are there when somebody opens the page. Recorder.Run is its only
// goroutine. [Recorder.Handler] serves the document and [Page] the page, which is
// embedded, loads nothing from elsewhere and changes nothing. [Fetch] asks a worker
// for the document, and [Write] prints it.
//
// What comes from outside, such as the texts of errors and the keys of rows, is shown as
// text only: the page makes no HTML of it, and Write lets no control characters
// through to a terminal.
package status
