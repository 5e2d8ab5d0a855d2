package main

import (
	"context"
	"fmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/app"
)

type demoCommand struct {
	ListenAddress []string `name:"web.listen-address" default:"127.0.0.1:10083" sep:"none" placeholder:"ADDRESS" help:"Address to serve on; may be repeated."`
	logFlags
}

// Run is not there yet.
func (c demoCommand) Run(ctx context.Context, sys system) error {
	_ = app.Options{}
	return fmt.Errorf("not there yet")
}
