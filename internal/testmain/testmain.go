// Package testmain is how the tests of a package begin.
package testmain

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Run runs tests and looks for goroutines that they leave behind. At the same time
// run as many of those that are parallel: they wait, and need no processor.
func Run(m *testing.M, parallel int) {
	flag.Parse()
	set("test.parallel", fmt.Sprint(parallel))
	goleak.VerifyTestMain(m)
}

// Draw has properties tried with fewer cases than rapid's hundred, unless
// RAPID_CHECKS or -rapid.checks says otherwise.
func Draw(cases int) {
	if os.Getenv("RAPID_CHECKS") == "" {
		set("rapid.checks", fmt.Sprint(cases))
	}
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}
