//go:build race

package redpacket

const raceEnabled = true
