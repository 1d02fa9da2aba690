package main

import "runtime/debug"

// gcPercent is how much garbage there may be for each 100 bytes in use, before it
// is collected. Nearly all that a worker holds are a few large buffers without
// pointers, so that collecting costs little, and Go's own 100 would have it take
// twice the memory that docs/operations.md reckons with.
const gcPercent = 33

// collectSooner sets it, unless GOGC says otherwise. It is the process's.
func (a *app) collectSooner() {
	if _, set := a.env("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}
