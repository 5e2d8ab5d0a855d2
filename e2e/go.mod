// The suite on real parts is a module of its own, beside the product's: it
// starts the product as a binary and so needs none of its packages, while what
// it needs itself (a Kafka admin client, a browser driver) must never become a
// dependency of the product.
module github.com/kafka-connect-exporter/kafka-connect-exporter/e2e

go 1.26.0

require (
	github.com/twmb/franz-go v1.22.0
	github.com/twmb/franz-go/pkg/kadm v1.19.0
	github.com/twmb/franz-go/pkg/kmsg v1.14.0
	go.yaml.in/yaml/v3 v3.0.6
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.30 // indirect
)
