// Package config reads sluice.yaml, the one file every role starts from.
//
// Its structs are the manual: each field says its unit, and what its zero
// value means; `sluice config print` shows the file with all defaults filled
// in, deploy/sluice.yaml is the commented example.
//
// The file is strict: an unknown key is refused with file and line. A string
// written as ${NAME} is taken from the environment, so that no secret needs
// to stand in the file; a variable that is not set is an error that names the
// field.
package config
