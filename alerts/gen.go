//go:build ignore

// Gen writes the rules and the Alertmanager configuration beside itself, as they
// are without options.
package main

import (
	"fmt"
	"os"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts"
)

func main() {
	files, err := alerts.Render(alerts.Options{})
	for _, file := range files {
		if err == nil {
			err = os.WriteFile(file.Name, file.Content, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
