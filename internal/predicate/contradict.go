package predicate

import "github.com/kudu2kafka/kudu2kafka/kudu"

// merged is what the pushed predicates on one column leave together.
type merged struct {
	dom           domain
	span          span
	set           []datum // of Equal and InList, when there is one
	hasSet        bool
	null, notNull bool
}

// contradict reports whether no row can pass the predicates of all atoms
// together. Kudu finds that out also, but then answers without a snapshot
// timestamp, so that callers do better to know before.
func contradict(schema *kudu.Schema, preds []Predicate) bool {
	byColumn := map[string]*merged{}
	for i := range preds {
		p := &preds[i]
		m := byColumn[p.Column]
		if m == nil {
			m = &merged{dom: domainOf(schema.Column(schema.Index(p.Column)).Type)}
			byColumn[p.Column] = m
		}
		m.add(p)
	}
	for _, m := range byColumn {
		if m.never() {
			return true
		}
	}
	return false
}

func (m *merged) add(p *Predicate) {
	m.notNull = m.notNull || p.Op != IsNull
	switch p.Op {
	case IsNull:
		m.null = true
	case GreaterEqual:
		if d := datumOf(p.Values[0]); !m.span.hasLo || compareDatum(m.dom, d, m.span.lo) > 0 {
			m.span.lo, m.span.hasLo = d, true
		}
	case Less:
		if d := datumOf(p.Values[0]); !m.span.hasHi || compareDatum(m.dom, d, m.span.hi) < 0 {
			m.span.hi, m.span.hasHi = d, true
		}
	case Equal, InList:
		m.intersect(p.Values)
	}
}

// intersect keeps what both sets hold; both ascend.
func (m *merged) intersect(values []any) {
	if !m.hasSet {
		m.hasSet = true
		for _, v := range values {
			m.set = append(m.set, datumOf(v))
		}
		return
	}
	kept, j := m.set[:0], 0
	for _, d := range m.set {
		for j < len(values) && compareDatum(m.dom, datumOf(values[j]), d) < 0 {
			j++
		}
		if j < len(values) && compareDatum(m.dom, datumOf(values[j]), d) == 0 {
			kept = append(kept, d)
		}
	}
	m.set = kept
}

func (m *merged) never() bool {
	if m.null && m.notNull {
		return true
	}
	m.span.check(m.dom)
	if !m.hasSet || m.span.empty {
		return m.span.empty
	}
	for _, d := range m.set {
		if (!m.span.hasLo || compareDatum(m.dom, d, m.span.lo) >= 0) && (!m.span.hasHi || compareDatum(m.dom, d, m.span.hi) < 0) {
			return false
		}
	}
	return true
}

// datumOf takes a value of a Predicate back.
func datumOf(v any) datum {
	switch v := v.(type) {
	case bool:
		if v {
			return datum{i: 1}
		}
		return datum{}
	case int64:
		return datum{i: v}
	case kudu.Int128:
		return datum{i: int64(v.Lo), w: v}
	case []byte:
		return datum{s: string(v)}
	}
	s, _ := v.(string)
	return datum{s: s}
}
