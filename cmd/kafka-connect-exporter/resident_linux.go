package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
)

// returnStartup gives the pages of the binary that its start has touched back to
// the system: the initialisation of every linked library runs once, and is a
// fifth of what a small fleet's exporter has resident. A page that is needed
// again is mapped again from the page cache, at the cost of a minor fault.
//
// Only mappings of the binary that nothing can have written to are returned. A
// position-independent executable has relocations written into such, so that
// there it does nothing; likewise where /proc is not there.
func returnStartup() {
	if !fixedPosition() {
		return
	}
	executable, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// proc_pid_maps(5): address, permissions, offset, device, inode, path.
		fields := strings.Fields(lines.Text())
		if len(fields) != 6 || fields[5] != executable || strings.Contains(fields[1], "w") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err == nil {
			// It is advice: that it is not taken changes nothing.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED)
		}
	}
}

// fixedPosition tells whether the binary was linked for one address.
func fixedPosition() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-buildmode" {
			return setting.Value == "exe"
		}
	}
	return false
}
