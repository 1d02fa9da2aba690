package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// chaosTable is a random table whose rows are numbered in the order of the
// streaming key and, below that, of the primary key.
type chaosTable struct {
	spec      testenv.TableSpec
	keys      []string
	streaming string // streaming.key, or ""
	unordered bool   // order is none
	where     string // or ""
	pools     [][]any
	extra     []typeColumn
	rows      int // that it can have
	seed      uint64

	// With a streaming key off the primary key, elsewhere has its values; each
	// is of so many rows (ties), whose primary keys are far apart.
	elsewhere []any
	ties      int
	places    []int // of each value's rows among the primary keys
}

// chaosKeyTypes are the types of key columns: the n-th
// value of a sorted pool of one stands for n.
func chaosKeyTypes() []typeColumn {
	varchar := typeColumn{spec: testenv.ColumnSpec{Type: "VARCHAR", Length: 60}, other: anyText}
	decimal := typeColumn{spec: testenv.ColumnSpec{Type: "DECIMAL", Precision: 38, Scale: 4}, other: anyDecimal(38, 4)}
	types := []typeColumn{varchar, decimal}
	for _, c := range typeColumns() {
		switch c.spec.Type {
		case "INT8", "INT16", "INT32", "INT64", "STRING", "BINARY", "UNIXTIME_MICROS", "DATE":
			types = append(types, c)
		}
	}
	return types
}

// sortedPool gives n different values of the type, in Kudu's order.
func sortedPool(dice *rand.Rand, c typeColumn, n int) []any {
	type sortable struct {
		value any
		rat   *big.Rat // of decimals
	}
	compare := func(a, b sortable) int {
		switch x := a.value.(type) {
		case int64:
			return cmp.Compare(x, b.value.(int64))
		case []byte:
			return bytes.Compare(x, b.value.([]byte))
		case string:
			if a.rat != nil {
				return a.rat.Cmp(b.rat)
			}
			return cmp.Compare(x, b.value.(string)) // dates too, as years have four digits
		}
		panic(fmt.Sprintf("no order of %T", a.value))
	}
	var all []sortable
	for len(all) < n {
		for range n - len(all) + n/8 + 1 {
			s := sortable{value: c.other(dice)}
			if c.spec.Type == "DECIMAL" {
				s.rat, _ = new(big.Rat).SetString(s.value.(string))
			}
			all = append(all, s)
		}
		slices.SortFunc(all, compare)
		all = slices.CompactFunc(all, func(a, b sortable) bool { return compare(a, b) == 0 })
	}
	for len(all) > n {
		i := dice.IntN(len(all))
		all = slices.Delete(all, i, min(len(all), i+min(len(all)-n, 1+n/16)))
	}
	values := make([]any, n)
	for i, s := range all {
		values[i] = s.value
	}
	return values
}

// wide reports whether the type has values enough for the first key column.
func wide(c typeColumn) bool { return c.spec.Type != "INT8" && c.spec.Type != "INT16" }

func newChaosTable(dice *rand.Rand, name string, rows int) *chaosTable {
	c := &chaosTable{rows: rows, seed: dice.Uint64()}
	if dice.IntN(3) == 0 {
		c.ties = 1 + dice.IntN(5)
		c.rows = (rows/c.ties + 1) * c.ties
		rows = c.rows
	}
	types := chaosKeyTypes()
	columns := 1 + dice.IntN(3)
	product := 1
	radix := make([]int, columns)
	for i := columns - 1; i > 0; i-- {
		radix[i] = 2 + dice.IntN(9)
		product *= radix[i]
	}
	radix[0] = rows/product + 1
	for i := range columns {
		typ := types[dice.IntN(len(types))]
		for i == 0 && !wide(typ) {
			typ = types[dice.IntN(len(types))]
		}
		column := typ.spec
		column.Name, column.Key = fmt.Sprintf("k%d", i), true
		c.spec.Columns = append(c.spec.Columns, column)
		c.keys = append(c.keys, column.Name)
		c.pools = append(c.pools, sortedPool(dice, typ, radix[i]))
	}
	if columns > 1 && dice.IntN(2) == 0 {
		c.streaming = strings.Join(c.keys[:1+dice.IntN(columns-1)], ",")
	}

	// The row's number, for the comparison, and a digit of it, for where.
	c.spec.Columns = append(c.spec.Columns, testenv.ColumnSpec{Name: "n", Type: "INT32"}, testenv.ColumnSpec{Name: "part", Type: "INT32"})
	if c.ties > 0 {
		c.streamElsewhere(dice, types)
	}
	others := typeColumns()
	dice.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, extra := range others[:dice.IntN(6)] {
		extra.spec.Nullable = dice.IntN(2) == 0
		c.extra = append(c.extra, extra)
		c.spec.Columns = append(c.spec.Columns, extra.spec)
	}
	switch dice.IntN(5) {
	case 0:
		c.where = "part < 7" // Kudu evaluates it
	case 1:
		c.where = "part < 5 OR part = 6 OR part BETWEEN 5 AND 6" // the worker does
	}

	c.spec.Name, c.spec.Replicas = name, 3
	if buckets := 1 + dice.IntN(6); buckets > 1 {
		by := c.keys[dice.IntN(columns):]
		c.spec.Hash = []testenv.HashSpec{{Columns: by, Buckets: buckets}}
	} else {
		c.spec.Range = &testenv.RangeSpec{Columns: c.keys[:1]}
	}
	return c
}

// streamElsewhere makes another column the streaming key.
func (c *chaosTable) streamElsewhere(dice *rand.Rand, types []typeColumn) {
	typ := types[dice.IntN(len(types))]
	for !wide(typ) {
		typ = types[dice.IntN(len(types))]
	}
	column := typ.spec
	column.Name = "s"
	c.spec.Columns = append(c.spec.Columns, column)
	c.streaming, c.unordered = column.Name, dice.IntN(3) == 0
	c.places = dice.Perm(c.rows / c.ties)
	c.elsewhere = sortedPool(dice, typ, len(c.places))
}

// row makes row n, always the same.
func (c *chaosTable) row(n int) testenv.Row {
	dice := rand.New(rand.NewPCG(c.seed, uint64(n)))
	row := testenv.Row{"n": n, "part": n % 10}
	rest := n
	if c.ties > 0 {
		value := n / c.ties
		row["s"] = c.elsewhere[value]
		rest = n%c.ties*len(c.places) + c.places[value]
	}
	for i := len(c.pools) - 1; i >= 0; i-- {
		size := len(c.pools[i])
		row[c.keys[i]] = c.pools[i][rest%size]
		rest /= size
	}
	for _, e := range c.extra {
		switch {
		case e.spec.Nullable && dice.IntN(4) == 0:
			row[e.spec.Name] = nil
		case dice.IntN(20) == 0:
			row[e.spec.Name] = e.edges[dice.IntN(len(e.edges))]
		default:
			row[e.spec.Name] = e.other(dice)
		}
	}
	return row
}

// chosen reports whether row n meets where.
func (c *chaosTable) chosen(n int) bool { return c.where == "" || n%10 < 7 }

// rank gives rows their places, as verifyRows takes them.
func (c *chaosTable) rank(rows []*tableRow) {
	for _, r := range rows {
		n, err := strconv.Atoi(fmt.Sprint(r.cells["n"]))
		r.hidden = err != nil || !c.chosen(n)
		if !c.unordered {
			r.order = n
		}
	}
}

func (c *chaosTable) String() string {
	var b strings.Builder
	for i, col := range c.spec.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", col.Name, col.Type)
	}
	if len(c.spec.Hash) > 0 {
		fmt.Fprintf(&b, "; %d buckets by %v", c.spec.Hash[0].Buckets, c.spec.Hash[0].Columns)
	}
	return b.String()
}

// randomJob is a connector of the table, with workers that are quickly missed.
func (c *chaosTable) randomJob(dice *rand.Rand, name string) *job {
	between := func(low, high int) string { return fmt.Sprint(low + dice.IntN(high-low+1)) }
	session := 1500 + dice.IntN(2500)
	j := &job{
		name: "c", table: name, topic: name, group: name,
		worker: map[string]string{
			"log.level": "trace", "session.timeout.ms": fmt.Sprint(session), "heartbeat.interval.ms": fmt.Sprint(session / 5),
			"rebalance.timeout.ms": between(5000, 15000),
		},
		connector: map[string]string{
			"tasks.max": between(1, 5), "poll.interval.ms": between(5, 200),
			"transaction.max.rows":              fmt.Sprint([]int{20, 100, 500, 3000, 100_000}[dice.IntN(5)]),
			"transaction.boundary.interval.ms":  between(20, 1000),
			"transaction.timeout.ms":            fmt.Sprint([]int{10_000, 60_000}[dice.IntN(2)]),
			"kudu.scan.batch.bytes":             fmt.Sprint(1024 << dice.IntN(8)),
			"topic.creation.default.partitions": between(1, 3),
			"errors.retry.delay.max.ms":         "1000",
			"kudu.table.refresh.interval.ms":    fmt.Sprint([]int{300, 10_000}[dice.IntN(2)]),
			"kudu.operation.timeout.ms":         fmt.Sprint([]int{5000, 30_000}[dice.IntN(2)]),
			"producer.override.linger.ms":       between(0, 10),
		},
	}
	if dice.IntN(4) == 0 && !c.unordered {
		j.connector["order.scope"] = "table"
	}
	if c.streaming != "" {
		j.connector["streaming.key"] = c.streaming
	}
	if c.ties > 0 {
		j.connector["sort.memory.bytes"] = fmt.Sprint(1 << 20)
	}
	if c.unordered {
		j.connector["order"] = "none"
	}
	if c.where != "" {
		j.connector["where"] = c.where
	}
	if dice.IntN(2) == 0 && !c.unordered {
		// No row is late, but all is read at the one server that knows it all.
		j.connector["late.rows"], j.connector["late.rows.interval.ms"] = "repair", between(300, 3000)
	}
	return j
}

// pace is a random writer: rows that are there at the start, rows per second
// and the most rows of a batch.
type pace struct{ loaded, rate, batch int }

func randomPace(dice *rand.Rand) pace {
	return pace{loaded: dice.IntN(6000), rate: 100 + dice.IntN(700), batch: 1 + dice.IntN(150)}
}

func (p pace) rows(during time.Duration) int {
	return p.loaded + p.rate*int(during/time.Second+1)
}
