package app

// descriptors is how many files and connections the process may have: no number
// is set.
func descriptors() uint64 { return 3 * maxConnections }
