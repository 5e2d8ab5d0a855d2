package connecttest

import (
	"fmt"
	"strconv"
	"strings"
)

// A release is a version of Apache Kafka, as far as behaviour depends on it.
type release struct{ major, minor, patch int }

// parseRelease reads "4.3.1"; what follows the third number (Confluent's "-ccs")
// is left aside.
func parseRelease(version string) (release, error) {
	var numbers [3]int
	plain, _, _ := strings.Cut(version, "-")
	for i, word := range strings.Split(plain, ".") {
		number, err := strconv.Atoi(word)
		if err != nil || i > 2 {
			return release{}, fmt.Errorf("version %q is not of the form 4.3.1", version)
		}
		numbers[i] = number
	}
	return release{numbers[0], numbers[1], numbers[2]}, nil
}

func (r release) since(major, minor, patch int) bool {
	if r.major != major {
		return r.major > major
	}
	if r.minor != minor {
		return r.minor > minor
	}
	return r.patch >= patch
}

// The steps in the API's history that a reader of it can notice.
func (r release) hasExpand() bool        { return r.since(2, 3, 0) }  // KIP-465
func (r release) listIsLocal() bool      { return r.since(2, 3, 0) }  // before, the list waited for the herder
func (r release) onlyHasPages() bool     { return !r.since(2, 4, 0) } // Jetty 9.4.18: a client that wants JSON gets an empty error
func (r release) dropsTaskStatus() bool  { return r.since(2, 5, 1) }  // KAFKA-9472: before, removed tasks kept a status
func (r release) toleratesPlugins() bool { return r.since(3, 4, 0) }  // KAFKA-13989: before, a missing plugin was a 500
func (r release) hasPluginDefs() bool    { return r.since(3, 2, 0) }  // KIP-769
func (r release) hasStopped() bool       { return r.since(3, 5, 0) }  // KIP-875
func (r release) rebalanceIs500() bool   { return r.since(3, 5, 0) }  // before, 409
func (r release) hasHealth() bool        { return r.since(3, 9, 0) }  // KIP-1017
func (r release) losesSlashNames() bool  { return r.since(3, 9, 0) }  // as observed on 3.9.1 and 4.3.1
func (r release) refusesAmbiguous() bool { return r.since(4, 0, 0) }  // Jetty 12
func (r release) hasPluginVersion() bool { return r.since(4, 1, 0) }  // KIP-891, KAFKA-18988
