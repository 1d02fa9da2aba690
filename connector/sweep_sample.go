package connector

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// A pass in an order that isn't the primary key's has to look at all rows that
// meet where, to take a few. So one that has done so keeps a sample of them, by
// which the next ones guess how far in the order the rows go that they will take,
// and have Kudu send those alone. If these are enough, all that come before them
// in the order are among them, whatever was guessed; else the pass looks at all
// rows, and samples anew.

const (
	// sampleRows is how many rows a sample has.
	sampleRows = 1024
	// sampleMargin is how many times the rows of a pass it asks for.
	sampleMargin = 1.5
)

// sampler makes a sample of the rows of a full pass, each as likely as another.
type sampler struct {
	seen int
	rows []sampledRow
}

type sampledRow struct {
	sort  []byte // by the columns of the order
	value any    // of the first of them; nil: NULL
}

// sample tells, roughly, where a rank lies in the order.
type sample struct {
	sampler
	served int // rows that came first when it was made, and have been taken since
}

func (s *sampler) offer(sort []byte, rows *kudu.RowBatch, place, row int) {
	s.seen++
	at := len(s.rows)
	if at == sampleRows {
		if at = rand.IntN(s.seen); at >= sampleRows {
			return
		}
	} else {
		s.rows = append(s.rows, sampledRow{})
	}
	r := &s.rows[at]
	r.sort, r.value = append(r.sort[:0], sort...), nil
	if cell := rows.Column(place); !cell.IsNull(row) {
		r.value = cell.Value(row)
		if b, is := r.value.([]byte); is {
			r.value = bytes.Clone(b) // the batch's
		}
	}
}

// finish makes the sample; journalled rows come first, and aren't taken again.
func (s *sampler) finish(journalled int) *sample {
	slices.SortFunc(s.rows, func(a, b sampledRow) int { return bytes.Compare(a.sort, b.sort) })
	return &sample{sampler: *s, served: journalled}
}

// bound is a predicate that as many of the next rows meet as a pass takes, and
// some more; nil if that are about all.
func (s *sample) bound(key predicate.OrderKey, limit int) []kudu.Predicate {
	if s == nil || s.seen == 0 {
		return nil
	}
	at := int((float64(s.served)+sampleMargin*float64(limit))/float64(s.seen)*float64(len(s.rows))) + 1
	if at >= len(s.rows) || s.rows[at].value == nil {
		return nil
	}
	if key.Desc {
		return []kudu.Predicate{kudu.GreaterEqual(key.Column, s.rows[at].value)}
	}
	return []kudu.Predicate{kudu.LessEqual(key.Column, s.rows[at].value)}
}

// sampled gives the first column of an order, if bounds can be told by it. Kudu's
// comparisons find no NaN, which is the greatest number in the order.
func sampled(o *predicate.Order, schema *kudu.Schema) (key predicate.OrderKey, place int, is bool) {
	if o == nil {
		return key, 0, false
	}
	key = o.Keys()[0]
	place = schema.Index(key.Column)
	switch schema.Column(place).Type {
	case kudu.Int8, kudu.Int16, kudu.Int32, kudu.Int64, kudu.UnixtimeMicros, kudu.String, kudu.Varchar, kudu.Binary:
		return key, place, true
	case kudu.Float, kudu.Double:
		return key, place, !key.Desc
	}
	return key, place, false
}
