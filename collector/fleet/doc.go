// Package fleet takes the snapshots: of all clusters at once, concurrent callers
// joined, nobody delayed beyond his own deadline.
package fleet
