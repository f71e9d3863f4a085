//go:build !linux

package cmd

func calm() {}
