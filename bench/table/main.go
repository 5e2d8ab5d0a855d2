// Command table runs the benchmarks and prints what came out as a Markdown
// table: each figure beside its yardstick from the same run, because on a
// shared machine only the ratio means something.
//
//	go run ./bench/table [-count 5] [-benchtime 1s]
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// packages that have benchmarks worth a table.
var packages = []string{"./connect/rest", "./collector/exposition", "./bench"}

// yardsticks are the variants that others are measured against, and what they are.
var yardsticks = map[string]string{
	"decoder=encoding-json": "encoding/json into structs",
	"promhttp":              "promhttp, the same series",
	"without":               "the same without the brokers",
	"floor":                 "io.Copy of the worker's whole answer (expand=info&expand=status)",
}

// ours are the other variants, and what they are.
var ours = map[string]string{
	"decoder=ours":   "decoder",
	"first":          "first answer, written and compressed",
	"steady":         "as Prometheus asks, nothing changed",
	"v2-steady":      "version 2, nothing changed, plain text",
	"v2-steady-gzip": "version 2, nothing changed, gzip as Prometheus asks",
	"v2-changed":     "version 2, one connector changed, gzip",
	"v2-cold":        "version 2, class and tasks.max asked for each time",
	"v1-steady":      "version 1, nothing changed",
	"brokers":        "status topic, offset topic and group read, too",
	"v1-cold":        "version 1, class and tasks.max asked for each time",
}

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	count := flags.Int("count", 5, "runs of each benchmark; the median counts")
	benchtime := flags.String("benchtime", "1s", "time of each run, as go test takes it")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var groups []*group
	for _, name := range packages {
		fmt.Fprintln(progress, "running the benchmarks of", name)
		var output bytes.Buffer
		command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Decode|Answer|Wire|Scrape|Brokers", "-count", strconv.Itoa(*count), "-benchtime", *benchtime, name) //nolint:gosec // What the person who runs it asks for.
		command.Stdout, command.Stderr = io.MultiWriter(&output, progress), progress
		if err := command.Run(); err != nil {
			return fmt.Errorf("run the benchmarks of %s: %w", name, err)
		}
		groups = append(groups, parse(&output)...)
	}
	return write(out, groups)
}

// A group is the variants that share a yardstick.
type group struct {
	name     string // Decode/connectors=1000, Wire/clusters=100,connectors=10, Wire/demo
	variants []*variant
}

type variant struct {
	name    string
	figures map[string][]float64 // by unit
}

// line is a benchmark's line of output: Benchmark, then its variants, then the
// number of processors, then figures.
var line = regexp.MustCompile(`^Benchmark(\w+/[^/\s]+)/(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

func parse(output io.Reader) []*group {
	var groups []*group
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		found := line.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		g := get(&groups, func(g *group) bool { return g.name == found[1] }, func() *group { return &group{name: found[1]} })
		v := get(&g.variants, func(v *variant) bool { return v.name == found[2] }, func() *variant { return &variant{name: found[2], figures: map[string][]float64{}} })
		fields := strings.Fields(found[3])
		for i := 0; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				v.figures[fields[i+1]] = append(v.figures[fields[i+1]], value)
			}
		}
	}
	return groups
}

// get returns the element that is wanted, made and appended if there is none.
func get[T any](list *[]*T, wanted func(*T) bool, made func() *T) *T {
	if i := slices.IndexFunc(*list, wanted); i >= 0 {
		return (*list)[i]
	}
	*list = append(*list, made())
	return (*list)[len(*list)-1]
}

// titles of the groups.
var titles = map[string]string{
	"Decode":  "Decoding the answer of %s",
	"Answer":  "A first answer of %s",
	"Wire":    "On the wire, of %s",
	"Scrape":  "A whole scrape of %s",
	"Brokers": "A whole scrape with the brokers of %s",
}

// title says what was measured, for people.
func (g *group) title() string {
	what, of, _ := strings.Cut(g.name, "/")
	var parts []string
	for part := range strings.SplitSeq(of, ",") {
		name, n, numbered := strings.Cut(part, "=")
		switch {
		case !numbered:
			parts = append(parts, "the "+name)
		case name == "clusters" && n == "1": // goes without saying
		default:
			if len(n) > 3 {
				n = n[:len(n)-3] + "," + n[len(n)-3:]
			}
			parts = append(parts, n+" "+name)
		}
	}
	return fmt.Sprintf(titles[what], strings.Join(parts, " × "))
}

// median of a unit's figures, and whether there are any.
func (v *variant) median(unit string) (float64, bool) {
	figures := slices.Sorted(slices.Values(v.figures[unit]))
	if len(figures) == 0 {
		return 0, false
	}
	return figures[len(figures)/2], true
}

// processorTime in milliseconds.
func (v *variant) processorTime() (float64, bool) { return v.median("cpu-ms/op") }

// size of the answer in KB.
func (v *variant) size() (float64, bool) {
	bytes, ok := v.median("answer-bytes")
	return bytes / 1000, ok
}

func (v *variant) time() (float64, bool) {
	ns, ok := v.median("ns/op")
	return ns / 1e6, ok
}

func write(out io.Writer, groups []*group) error {
	fmt.Fprintf(out, "%s, %s/%s, %d processors; medians.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, g := range groups {
		i := slices.IndexFunc(g.variants, func(v *variant) bool { return yardsticks[v.name] != "" })
		if i < 0 {
			return fmt.Errorf("%s has no yardstick", g.name)
		}
		yardstick := g.variants[i]
		// What a scrape waits for is not what is measured there.
		wire := strings.HasPrefix(g.name, "Wire/")
		columns := "| | time | ratio | processor time | ratio | answer | ratio | allocations |\n|---|--:|--:|--:|--:|--:|--:|--:|"
		if wire {
			columns = "| | answer | ratio |\n|---|--:|--:|"
		}
		fmt.Fprintf(out, "\n### %s\n\n%s\n", g.title(), columns)
		for _, v := range g.variants {
			what := ours[v.name]
			if v == yardstick {
				what = "*yardstick:* " + yardsticks[v.name]
			} else if what == "" {
				return fmt.Errorf("nothing says what %s/%s is", g.name, v.name)
			}
			size := compare(v, yardstick, "%.0f KB", (*variant).size)
			if wire {
				fmt.Fprintf(out, "| %s | %s |\n", what, size)
				continue
			}
			allocations, _ := v.median("allocs/op")
			fmt.Fprintf(out, "| %s | %s | %s | %s | %.0f |\n", what, compare(v, yardstick, "%.2f ms", (*variant).time),
				compare(v, yardstick, "%.2f ms", (*variant).processorTime), size, allocations)
		}
	}
	return nil
}

// compare is a figure and its ratio to the yardstick's.
func compare(v, yardstick *variant, format string, figure func(*variant) (float64, bool)) string {
	value, ok := figure(v)
	if !ok {
		return " | "
	}
	base, _ := figure(yardstick)
	return fmt.Sprintf(format+" | %.2f", value, value/base)
}
