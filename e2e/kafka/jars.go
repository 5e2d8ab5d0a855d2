// Package kafka runs real Kafka brokers and Kafka Connect workers of chosen
// versions on the loopback address, from the artifacts that Apache Kafka
// publishes for Maven.
package kafka

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed pom.xml
var pom []byte

// CacheDirectory is where downloaded jars and built tools are kept between
// runs, outside the source tree.
func CacheDirectory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(cache, "kafka-connect-exporter"), nil
}

// AtLeast reports whether a Kafka version such as "3.9.1" is minimum ("3.5") or
// later.
func AtLeast(version, minimum string) bool {
	a, b := strings.Split(version, "."), strings.Split(minimum, ".")
	for i := range b {
		if i >= len(a) {
			return false
		}
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x > y
		}
	}
	return true
}

// Jars returns the folder with the jars of one Kafka version: a Connect worker
// with its FileStream connectors, from 2.4 on MirrorMaker's connectors and the
// basic auth extension, from 4.0 on the broker. Maven downloads them on a miss.
func Jars(ctx context.Context, version string) (string, error) {
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(cache, "kafka", version)
	if _, err := os.Stat(directory); err == nil {
		return directory, nil
	}
	if err := os.MkdirAll(filepath.Dir(directory), 0o755); err != nil {
		return "", fmt.Errorf("create the cache folder: %w", err)
	}
	// Another run may be at it too: download beside, then move the whole.
	work, err := os.MkdirTemp(filepath.Dir(directory), "."+version+"-")
	if err != nil {
		return "", fmt.Errorf("create the cache folder: %w", err)
	}
	defer os.RemoveAll(work)
	file := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(file, pom, 0o644); err != nil {
		return "", err
	}
	profiles := []string{"reload4j"}
	if AtLeast(version, "4.0") {
		profiles = []string{"log4j2"}
	}
	if AtLeast(version, "2.4") {
		profiles = append(profiles, "plugins")
	}
	if AtLeast(version, "4.0") {
		profiles = append(profiles, "broker")
	}
	mirror := version
	if version == "3.5.2" {
		mirror = "3.5.1" // See pom.xml.
	}
	jars := filepath.Join(work, "jars")
	command := exec.CommandContext(ctx, "mvn", "-B", "-q", "-f", file, "-P"+strings.Join(profiles, ","), "-Dkafka.version="+version, "-Dmirror.version="+mirror,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+jars)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("download the jars of Kafka %s: %w\n%s", version, err, output.Bytes())
	}
	if err := os.Rename(jars, directory); err != nil && !os.IsExist(err) {
		if _, raced := os.Stat(directory); raced != nil {
			return "", fmt.Errorf("keep the jars of Kafka %s: %w", version, err)
		}
	}
	return directory, nil
}

// classPath lists the jars of directory but those whose file names begin with
// one of without.
func classPath(directory string, without []string) (string, error) {
	jars, err := filepath.Glob(filepath.Join(directory, "*.jar"))
	if err != nil || len(jars) == 0 {
		return "", fmt.Errorf("no jars in %s (%s)", directory, fmt.Sprint(err))
	}
	var kept []string
next:
	for _, jar := range jars {
		for _, prefix := range without {
			if strings.HasPrefix(filepath.Base(jar), prefix) {
				continue next
			}
		}
		kept = append(kept, jar)
	}
	return strings.Join(kept, string(os.PathListSeparator)), nil
}

// quiet names loggers that warn of what is so by intention here: files that are
// missing, settings that one of several clients does not know.
var quiet = [...]string{
	"org.apache.kafka.connect.file", "org.reflections", "org.apache.kafka.connect.runtime.isolation",
	"org.apache.kafka.clients.admin.AdminClientConfig", "org.apache.kafka.clients.producer.ProducerConfig", "org.apache.kafka.clients.consumer.ConsumerConfig",
}

// javaCommand is the java command line up to the main class, for short lives on
// few processors, with a log of warnings on standard output.
func javaCommand(directory, version, heap, classpath string) ([]string, error) {
	name, option, text := "log4j.properties", "-Dlog4j.configuration=file:",
		"log4j.rootLogger=WARN,o\nlog4j.appender.o=org.apache.log4j.ConsoleAppender\nlog4j.appender.o.layout=org.apache.log4j.PatternLayout\nlog4j.appender.o.layout.ConversionPattern=%d %p %c{1} %m%n\n"
	logger := "log4j.logger.%[2]s=FATAL\n"
	if AtLeast(version, "4.0") {
		name, option = "log4j2.properties", "-Dlog4j2.configurationFile=file:"
		text = "appender.o.type=Console\nappender.o.name=o\nappender.o.layout.type=PatternLayout\nappender.o.layout.pattern=%d %p %c{1} %m%n\nrootLogger.level=WARN\nrootLogger.appenderRef.o.ref=o\n"
		logger = "logger.q%[1]d.name=%[2]s\nlogger.q%[1]d.level=FATAL\n"
	}
	for i, category := range quiet {
		text += fmt.Sprintf(logger, i, category)
	}
	file := filepath.Join(directory, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write the logging configuration: %w", err)
	}
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", option + file, "-Xmx" + heap, "-cp", classpath}, nil
}

// writeProperties writes a Java properties file with one line per entry.
func writeProperties(path string, properties map[string]string) error {
	var b bytes.Buffer
	for key, value := range properties {
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// ConsoleProducer writes Kafka's kafka-console-producer.sh, as its distribution has
// it, into a folder for PATH, which it returns.
func ConsoleProducer(ctx context.Context, directory, version string) (string, error) {
	jars, err := Jars(ctx, version)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", fmt.Errorf("create the folder of a producer: %w", err)
	}
	classpath, err := classPath(jars, nil)
	if err != nil {
		return "", err
	}
	java, err := javaCommand(directory, version, "128m", classpath)
	if err != nil {
		return "", err
	}
	script := "#!/bin/sh\nexec '" + strings.Join(java, "' '") + "' org.apache.kafka.tools.ConsoleProducer \"$@\"\n"
	if err := os.WriteFile(filepath.Join(directory, "kafka-console-producer.sh"), []byte(script), 0o755); err != nil {
		return "", fmt.Errorf("write a producer: %w", err)
	}
	return directory, nil
}
