module github.com/kafka-connect-exporter/kafka-connect-exporter/tools/alertmanager

go 1.26.0

require github.com/prometheus/alertmanager v0.34.2
