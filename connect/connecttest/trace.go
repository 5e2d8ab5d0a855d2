package connecttest

import (
	"fmt"
	"strings"
)

// A Cause is one exception of a trace.
type Cause struct{ Class, Message string }

// Trace prints exceptions as Java's Throwable.printStackTrace does: the first
// was thrown, each further one is the cause of the one before.
func Trace(causes ...Cause) string {
	frames := taskFrames()
	var out strings.Builder
	for i, cause := range causes {
		if i > 0 {
			out.WriteString("Caused by: ")
		}
		out.WriteString(cause.Class)
		if cause.Message != "" {
			out.WriteString(": " + cause.Message)
		}
		out.WriteByte('\n')
		for line, frame := range frames {
			if i > 0 && line == 4 {
				break
			}
			if i > 0 {
				frame = fmt.Sprintf("%s$%d%s", frame[:strings.IndexByte(frame, '(')], i, frame[strings.IndexByte(frame, '('):])
			}
			out.WriteString("\tat " + frame + "\n")
		}
		if i > 0 {
			fmt.Fprintf(&out, "\t... %d more\n", len(frames)-3)
		}
	}
	return out.String()
}

// taskFrames are those of a worker's task thread (Kafka 3.x and 4.x).
func taskFrames() []string {
	return []string{
		"org.apache.kafka.connect.runtime.WorkerSinkTask.deliverMessages(WorkerSinkTask.java:636)",
		"org.apache.kafka.connect.runtime.WorkerSinkTask.poll(WorkerSinkTask.java:345)",
		"org.apache.kafka.connect.runtime.WorkerSinkTask.iteration(WorkerSinkTask.java:247)",
		"org.apache.kafka.connect.runtime.WorkerSinkTask.execute(WorkerSinkTask.java:216)",
		"org.apache.kafka.connect.runtime.WorkerTask.doRun(WorkerTask.java:226)",
		"org.apache.kafka.connect.runtime.WorkerTask.run(WorkerTask.java:281)",
		"org.apache.kafka.connect.runtime.isolation.Plugins.lambda$withClassLoader$7(Plugins.java:341)",
		"java.base/java.util.concurrent.Executors$RunnableAdapter.call(Executors.java:539)",
		"java.base/java.util.concurrent.FutureTask.run(FutureTask.java:264)",
		"java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
		"java.base/java.util.concurrent.ThreadPoolExecutor$Worker.run(ThreadPoolExecutor.java:635)",
		"java.base/java.lang.Thread.run(Thread.java:840)",
	}
}

// The traces below are what connectors of these kinds fail with; their messages
// quote data and addresses, which must never come out of the exporter.

const connectException = "org.apache.kafka.connect.errors.ConnectException"

func jdbcTrace() string {
	return Trace(
		Cause{connectException, "Exiting WorkerSinkTask due to unrecoverable exception."},
		Cause{connectException, "java.sql.SQLException: Exception chain:\njava.sql.BatchUpdateException: Batch entry 0 INSERT INTO \"public\".\"orders\" (\"id\",\"customer\") VALUES (4711,'Jane Doe') was aborted: ERROR: relation \"public.orders\" does not exist"},
		Cause{"java.sql.SQLException", "Exception chain:\njava.sql.BatchUpdateException: Batch entry 0 INSERT INTO \"public\".\"orders\" was aborted\norg.postgresql.util.PSQLException: ERROR: relation \"public.orders\" does not exist"},
	)
}

func debeziumTrace() string {
	return Trace(
		Cause{connectException, "An exception occurred in the change event producer. This connector will be stopped."},
		Cause{"io.debezium.DebeziumException", "Couldn't obtain encoding for database orders at orders-db.example.com:5432"},
		Cause{"org.postgresql.util.PSQLException", "FATAL: password authentication failed for user \"debezium\""},
	)
}

func s3Trace() string {
	return Trace(
		Cause{connectException, "Exiting WorkerSinkTask due to unrecoverable exception."},
		Cause{connectException, "Unable to initiate MultipartUpload"},
		Cause{"java.io.IOException", "Unable to initiate MultipartUpload: com.amazonaws.services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"},
	)
}

func converterTrace() string {
	return Trace(
		Cause{connectException, "Tolerance exceeded in error handler"},
		Cause{"org.apache.kafka.connect.errors.DataException", "Failed to deserialize data for topic v1.payments to Avro: "},
		Cause{"org.apache.kafka.common.errors.SerializationException", "Unknown magic byte!"},
	)
}
