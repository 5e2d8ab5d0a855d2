//go:build !linux

package main

// returnStartup is for Linux only.
func returnStartup() {}
