// Package series says which metrics exist and what they are of a cluster.
//
// One table of [Descriptor] names them; one [Walk] turns a [Result] into their
// series; a [History] is what successive snapshots come to: what changed is counted.
//
// Nothing here knows how the bytes came from a cluster, or how they leave.
package series
