//go:build unix

package app

import "syscall"

// descriptors is how many files and connections the process may have.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 3 * maxConnections
	}
	return uint64(limit.Cur) //nolint:unconvert // It is signed on some systems.
}
