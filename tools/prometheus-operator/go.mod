// The resource definitions of the Prometheus operator.
module github.com/kafka-connect-exporter/kafka-connect-exporter/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
