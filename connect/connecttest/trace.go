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

// frames of a worker's task thread (Kafka 3.x and 4.x).
var frames = [...]string{
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
