//go:build ignore

// Gen writes the dashboards' JSON files beside itself.
package main

import (
	"fmt"
	"os"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/dashboards/internal/build"
)

func main() {
	for _, d := range build.Dashboards() {
		content, err := d.JSON()
		if err == nil {
			err = os.WriteFile(d.UID+".json", content, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
