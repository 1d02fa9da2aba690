package predicate

import "github.com/kudu2kafka/kudu2kafka/kudu"

// Scan is the predicate as a scan of the client takes it.
func (p Predicate) Scan() kudu.Predicate {
	switch p.Op {
	case Equal:
		return kudu.Equal(p.Column, p.Values[0])
	case GreaterEqual:
		return kudu.GreaterEqual(p.Column, p.Values[0])
	case Less:
		return kudu.Less(p.Column, p.Values[0])
	case InList:
		return kudu.In(p.Column, p.Values...)
	case IsNull:
		return kudu.IsNull(p.Column)
	}
	return kudu.IsNotNull(p.Column)
}

// ScanPredicates are Pushed for a scan's options.
func (b *Bound) ScanPredicates() []kudu.Predicate {
	out := make([]kudu.Predicate, len(b.pushed))
	for i, p := range b.pushed {
		out[i] = p.Scan()
	}
	return out
}
