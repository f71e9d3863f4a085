// Package bundle keeps versions of a set of scripts and swaps them live.
package bundle
