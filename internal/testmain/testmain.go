// Package testmain sets how the tests of a package run, where their flags do not.
package testmain

import (
	"flag"
	"os"
	"strconv"
)

// Parallel lets so many parallel tests run at the same time: most of them wait, and
// need no processor.
func Parallel(tests int) { set("test.parallel", tests) }

// Draw has properties tried with fewer cases than rapid's hundred, unless
// RAPID_CHECKS says otherwise.
func Draw(cases int) {
	if os.Getenv("RAPID_CHECKS") == "" {
		set("rapid.checks", cases)
	}
}

func set(name string, value int) {
	if err := flag.Set(name, strconv.Itoa(value)); err != nil {
		panic(err)
	}
}
