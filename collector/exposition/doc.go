// Package exposition puts series into what Prometheus scrapes: answers in each of
// its formats, of which it keeps what does not change.
package exposition
