// Package archtest holds tests of the shape of the code: which package may
// import which, that every package says what it is for, and how large a file
// may get. It has no code of its own.
package archtest
