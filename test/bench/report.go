package main

import (
	"fmt"
	"io"
	"slices"
)

// figures are the results of one measurement.
type figures struct {
	seconds float64
	cpu     float64 // seconds, of the measured process
	memory  float64 // peak resident, MiB
}

// report collects the figures of one table.
type report struct {
	table string
	rows  int64
	bytes int64
	all   map[string][]figures
}

func newReport(table string, rows, bytes int64) *report {
	return &report{table: table, rows: rows, bytes: bytes, all: make(map[string][]figures)}
}

func (r *report) add(name string, f figures) { r.all[name] = append(r.all[name], f) }

func (r *report) median(name string, of func(figures) float64) float64 {
	var values []float64
	for _, f := range r.all[name] {
		values = append(values, of(f))
	}
	return median(values)
}

// median is 0 without values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func seconds(f figures) float64 { return f.seconds }

func (r *report) print(w io.Writer) {
	rounds := 0
	for _, f := range r.all {
		rounds = max(rounds, len(f))
	}
	if r.bytes > 0 {
		fmt.Fprintf(w, "  medians of %d, %s table: %d rows, %.0f bytes of key and value each\n", rounds, r.table, r.rows, float64(r.bytes)/float64(r.rows))
	} else {
		fmt.Fprintf(w, "  medians of %d, %s: %d rows\n", rounds, r.table, r.rows)
	}
	titles := []struct{ name, title string }{
		{"cli", "kudu perf table_scan, 2 threads"}, {"scan", "our client, 2 scans at once"},
		{"cli-ordered", "kudu perf table_scan --fault_tolerant"}, {"scan-ordered", "our client, 2 ordered scans at once"},
		{"loadgen", "kudu perf loadgen, 2 threads"}, {"writes", "our client, 2 sessions"},
		{"producer", "bare franz-go transactional producer"}, {"e2e", "kudu2kafka end to end"},
	}
	for _, t := range titles {
		if s := r.median(t.name, seconds); s > 0 {
			fmt.Fprintf(w, "    %-38s %6.2f s %10.0f rows/s\n", t.title, s, float64(r.rows)/s)
		}
	}
	r.ratio(w, "our scan / kudu perf table_scan", "cli", "scan")
	r.ratio(w, "our ordered scan / --fault_tolerant", "cli-ordered", "scan-ordered")
	r.ratio(w, "our inserts / kudu perf loadgen", "loadgen", "writes")
	r.ratio(w, "end to end / bare producer", "producer", "e2e")
	if len(r.all["e2e"]) > 0 {
		peak := 0.0
		for _, f := range r.all["e2e"] {
			peak = max(peak, f.memory)
		}
		fmt.Fprintf(w, "    kudu2kafka: %.1f CPU s, peak memory %.0f MiB (largest of all rounds)\n",
			r.median("e2e", func(f figures) float64 { return f.cpu }), peak)
	}
}

// ratio prints how quick one is against the other: above 1 is quicker.
func (r *report) ratio(w io.Writer, title, base, other string) {
	if b, o := r.median(base, seconds), r.median(other, seconds); b > 0 && o > 0 {
		fmt.Fprintf(w, "    %-38s %6.2f\n", title, b/o)
	}
}
