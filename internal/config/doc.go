// Package config reads the worker's and the connectors' YAML files into the
// structs of package connector. It is the only package that imports koanf.
//
// Dotted and nested keys mean the same and may be mixed. Values may refer to
// the environment and to files:
//
//	${env:NAME}            the variable, a fault if it is not set
//	${env:NAME:-default}   the variable, or default if it is not set or empty
//	${file:PATH}           the whole file, without white space around it
//	${file:PATH:KEY}       one key of a properties or YAML file
//	${dir:PATH:NAME}       the file NAME of a folder; ${directory:...} means the same
//	$${                    the two characters ${
//
// A PATH that is not absolute starts at the folder of the file that names it.
// What a reference gives is taken as it is, not looked into for further
// references. A message about a value that holds a reference shows the
// reference instead, since what it gives may be a secret.
//
// What comes by REST ([FromMap]) may read only what the worker's file allows, see
// [Limited]. A [Source] resolves the references of a file anew each time that its
// connector begins, so that secrets can be replaced while a worker runs.
//
// [Load] does not stop at the first fault: it returns all faults of all files
// in one [connector.ConfigError]. The package starts no goroutines, writes
// nothing, and reads at most 1 MiB of any file.
package config
