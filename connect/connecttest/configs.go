package connecttest

import "maps"

// The configurations below are what operators really write, secrets in clear
// text included: nothing of them may ever come out of the exporter.

// Classes of the connectors that the demo and large clusters run.
const (
	postgresClass   = "io.debezium.connector.postgresql.PostgresConnector"
	mysqlClass      = "io.debezium.connector.mysql.MySqlConnector"
	jdbcSinkClass   = "io.confluent.connect.jdbc.JdbcSinkConnector"
	s3SinkClass     = "io.confluent.connect.s3.S3SinkConnector"
	mirrorClass     = "org.apache.kafka.connect.mirror.MirrorSourceConnector"
	elasticClass    = "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
	jdbcSourceClass = "io.confluent.connect.jdbc.JdbcSourceConnector"
)

// commonConfig is what every connector has: converters, error handling, client
// overrides.
func commonConfig() map[string]string {
	return map[string]string{
		"key.converter":                                "io.confluent.connect.avro.AvroConverter",
		"key.converter.schema.registry.url":            "http://schema-registry:8081",
		"value.converter":                              "io.confluent.connect.avro.AvroConverter",
		"value.converter.schema.registry.url":          "http://schema-registry:8081",
		"value.converter.basic.auth.user.info":         "connect:Hunter2-registry",
		"value.converter.enhanced.avro.schema.support": "true",
		"errors.tolerance":                             "none",
		"errors.retry.timeout":                         "60000",
		"errors.retry.delay.max.ms":                    "5000",
		"errors.log.enable":                            "true",
		"errors.log.include.messages":                  "false",
		"header.converter":                             "org.apache.kafka.connect.storage.SimpleHeaderConverter",
		"config.action.reload":                         "restart",
		"predicates":                                   "tombstone",
		"predicates.tombstone.type":                    "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
		"transforms":                                   "unwrap,route",
		"transforms.unwrap.type":                       "io.debezium.transforms.ExtractNewRecordState",
		"transforms.unwrap.drop.tombstones":            "false",
		"transforms.route.type":                        "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.route.regex":                       "(.*)",
		"transforms.route.replacement":                 "v1.$1",
	}
}

func with(settings map[string]string) map[string]string {
	all := commonConfig()
	maps.Copy(all, settings)
	return all
}

// databaseConfig is a Debezium source's.
func databaseConfig(host, database string) map[string]string {
	return with(map[string]string{
		"database.hostname":            host,
		"database.port":                "5432",
		"database.user":                "debezium",
		"database.password":            "Hunter2-database",
		"database.dbname":              database,
		"topic.prefix":                 database,
		"plugin.name":                  "pgoutput",
		"slot.name":                    "debezium_" + database,
		"publication.name":             "dbz_publication",
		"table.include.list":           "public.customers,public.orders,public.order_lines",
		"snapshot.mode":                "initial",
		"heartbeat.interval.ms":        "10000",
		"max.batch.size":               "2048",
		"max.queue.size":               "8192",
		"poll.interval.ms":             "500",
		"tombstones.on.delete":         "true",
		"decimal.handling.mode":        "string",
		"producer.override.batch.size": "131072",
	})
}

// jdbcConfig is a JDBC sink's.
func jdbcConfig(topic string) map[string]string {
	return with(map[string]string{
		"topics":                             topic,
		"connection.url":                     "jdbc:postgresql://warehouse.example.com:5432/reporting",
		"connection.user":                    "writer",
		"connection.password":                "Hunter2-database",
		"connection.attempts":                "3",
		"dialect.name":                       "PostgreSqlDatabaseDialect",
		"insert.mode":                        "upsert",
		"pk.mode":                            "record_key",
		"pk.fields":                          "id",
		"batch.size":                         "3000",
		"auto.create":                        "false",
		"auto.evolve":                        "false",
		"delete.enabled":                     "true",
		"max.retries":                        "10",
		"retry.backoff.ms":                   "3000",
		"table.name.format":                  "public.${topic}",
		"consumer.override.max.poll.records": "3000",
	})
}

// s3Config is an S3 sink's.
func s3Config(topic, bucket string) map[string]string {
	return with(map[string]string{
		"topics":                      topic,
		"s3.bucket.name":              bucket,
		"s3.region":                   "eu-west-1",
		"s3.part.size":                "5242880",
		"aws.access.key.id":           "AKIAIOSFODNN7EXAMPLE",
		"aws.secret.access.key":       "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY",
		"storage.class":               "io.confluent.connect.s3.storage.S3Storage",
		"format.class":                "io.confluent.connect.s3.format.parquet.ParquetFormat",
		"parquet.codec":               "snappy",
		"flush.size":                  "100000",
		"rotate.schedule.interval.ms": "600000",
		"partitioner.class":           "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
		"path.format":                 "'year'=YYYY/'month'=MM/'day'=dd",
		"partition.duration.ms":       "3600000",
		"timestamp.extractor":         "Record",
		"locale":                      "en-GB",
		"timezone":                    "UTC",
		"schema.compatibility":        "FULL",
		"behavior.on.null.values":     "ignore",
	})
}

// mirrorConfig is a MirrorMaker 2 source's.
func mirrorConfig(from, to string) map[string]string {
	return with(map[string]string{
		"source.cluster.alias":                  from,
		"target.cluster.alias":                  to,
		"source.cluster.bootstrap.servers":      from + "-kafka:9092",
		"target.cluster.bootstrap.servers":      to + "-kafka:9092",
		"source.cluster.sasl.jaas.config":       `org.apache.kafka.common.security.plain.PlainLoginModule required username="mirror" password="Hunter2-broker";`,
		"topics":                                "orders.*,payments.*",
		"replication.factor":                    "3",
		"sync.topic.acls.enabled":               "false",
		"refresh.topics.interval.seconds":       "60",
		"offset-syncs.topic.replication.factor": "3",
	})
}
