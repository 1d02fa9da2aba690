// Package page looks at the status page in a headless Chromium: the built program
// runs a connector on a fake Kudu and a fake Kafka, and the page must show its rate
// move, stay within a narrow window, make no markup of what comes from outside, and
// say so when the worker is gone. It makes the pictures in docs/img.
package page
