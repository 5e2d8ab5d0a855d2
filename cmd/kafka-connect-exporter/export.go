package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/alerts"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/dashboards"
)

type exportCommand struct {
	Alerts     exportAlertsCommand     `cmd:"" help:"Write the alert rules and an Alertmanager configuration for them."`
	Dashboards exportDashboardsCommand `cmd:"" help:"Write the Grafana dashboards."`
}

// Help is shown by export --help.
func (exportCommand) Help() string {
	return `What is written fits the version of the exporter that writes it: write it again after an upgrade.

  kafka-connect-exporter export alerts /etc/prometheus/rules
  kafka-connect-exporter export dashboards /var/lib/grafana/dashboards`
}

// exportFlags are common to what can be exported.
type exportFlags struct {
	Directory string            `arg:"" name:"dir" help:"Folder to write to; made if it is not there, its files of the same names are replaced."`
	Selector  string            `name:"selector" placeholder:"MATCHERS" help:"Label matchers for every series that is asked for, such as job=\"kafka-connect\"."`
	Format    string            `name:"format" default:"files" enum:"files,kubernetes" help:"Plain files, or Kubernetes resources (PrometheusRule, AlertmanagerConfig, ConfigMap): ${enum}."`
	Labels    map[string]string `name:"label" mapsep:"none" placeholder:"NAME=VALUE" help:"Label of the Kubernetes resources; may be repeated."`
}

type exportAlertsCommand struct {
	exportFlags
	Fold         []string      `name:"fold" placeholder:"LABEL" help:"Labels of the target, beside instance and pod, that tell replicas of an exporter apart, such as replica or node: they are one to the alerts."`
	Equal        []string      `name:"equal" placeholder:"LABEL" help:"Labels of the target, beside job, that tell clusters of one name apart, such as env or region: Alertmanager groups and inhibits by them too."`
	Owner        string        `name:"owner" placeholder:"LABEL" help:"Label of kafka_connect_connector_labels, such as label_owner_team, that becomes the label team of alerts on connectors."`
	Objective    float64       `name:"objective" default:"0.99" placeholder:"SHARE" help:"Share of the time in which a connector's tasks are to run, from 0.94."`
	Delay        time.Duration `name:"rebalance-delay" default:"5m" placeholder:"DURATION" help:"The workers' scheduled.rebalance.max.delay.ms, for which tasks stay unassigned in good order."`
	Grafana      string        `name:"grafana" placeholder:"URL" help:"Address of the Grafana with the dashboards, for the links in the alerts."`
	Runbooks     string        `name:"runbooks" placeholder:"URL" help:"Address of the runbooks: a folder, or a pattern in which {alert} stands for the alert's name (default: the pages in the exporter's repository)."`
	TimeScale    float64       `name:"time-scale" default:"1" placeholder:"FACTOR" help:"Multiplies every time in the rules (for, keep_firing_for, intervals, ranges, offsets): 0.02 makes a demonstration or a test of them quick, with scrapes and evaluations each second."`
	WakefulNames bool          `name:"wakeful-names" help:"Add recording rules that keep the series' names of wakeful/kafka_connect_exporter."`
}

// Help is shown by export alerts --help.
func (exportAlertsCommand) Help() string {
	return `Writes the files that Prometheus and Alertmanager load, and prints their names. Each alert has a runbook.

  kafka-connect-exporter export alerts /etc/prometheus/rules
  kafka-connect-exporter export alerts DIR --selector='job="connect",env="prod"' --runbooks=https://wiki.example/connect
  kafka-connect-exporter export alerts DIR --fold=replica,node --equal=env,region --grafana=https://grafana.example
  kafka-connect-exporter export alerts DIR --format=kubernetes --label=release=prometheus`
}

// Run writes the files.
func (c exportAlertsCommand) Run(sys system) error {
	files, err := alerts.Render(alerts.Options{
		Selector: c.Selector, Fold: c.Fold, Equal: c.Equal, Objective: c.Objective, RebalanceDelay: c.Delay, Owner: c.Owner,
		Runbooks: c.Runbooks, Grafana: c.Grafana, TimeScale: c.TimeScale, Migration: c.WakefulNames,
		Kubernetes: c.Format == "kubernetes", Labels: c.Labels,
	})
	if err != nil {
		return fmt.Errorf("export alerts: %w", err)
	}
	for _, file := range files {
		if err := c.write(sys, file.Name, file.Content); err != nil {
			return fmt.Errorf("export alerts: %w", err)
		}
	}
	return nil
}

type exportDashboardsCommand struct {
	exportFlags
}

// Help is shown by export dashboards --help.
func (exportDashboardsCommand) Help() string {
	return `Writes one JSON file a dashboard, for Grafana's provisioning or import, and prints their names.

  kafka-connect-exporter export dashboards /var/lib/grafana/dashboards
  kafka-connect-exporter export dashboards DIR --format=kubernetes --label=grafana_dashboard=1`
}

// Run writes the files.
func (c exportDashboardsCommand) Run(sys system) error {
	files, err := dashboards.Render(dashboards.Options{Selector: c.Selector, Kubernetes: c.Format == "kubernetes", Labels: c.Labels})
	if err != nil {
		return fmt.Errorf("export dashboards: %w", err)
	}
	for _, file := range files {
		if err := c.write(sys, file.Name, file.Content); err != nil {
			return fmt.Errorf("export dashboards: %w", err)
		}
	}
	return nil
}

// write writes one file into the folder and says so.
func (f exportFlags) write(sys system, name string, content []byte) error {
	if err := os.MkdirAll(f.Directory, 0o755); err != nil {
		return err
	}
	path := filepath.Join(f.Directory, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintln(sys.Stdout, connect.Escaped(path))
	return err
}
