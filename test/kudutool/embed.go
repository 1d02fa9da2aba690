// Package kudutool holds the sources of the oracle: a Java program that reaches
// Kudu through its official client, and so shares no code, and no mistake, with
// ours. Package testenv compiles and drives it; see README.md for its commands.
package kudutool

import "embed"

// Sources are the program's Java files.
//
//go:embed *.java
var Sources embed.FS
