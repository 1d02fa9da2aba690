package predicate

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// op is a test of one column.
type op int

// Each test stands beside its opposite, which is true where the test is false;
// both are unknown for NULL, but for the tests of NULL itself.
const (
	opEqual op = iota
	opNotEqual
	opLess
	opGreaterEqual
	opLessEqual
	opGreater
	opBetween
	opNotBetween
	opIn
	opNotIn
	opLike
	opNotLike
	opIsNull
	opIsNotNull
)

func (o op) opposite() op { return o ^ 1 }

// negative reports whether the test holds outside what its values span.
func (o op) negative() bool {
	return o == opNotEqual || o == opNotBetween || o == opNotIn || o == opNotLike
}

var opSigns = map[string]op{
	"=": opEqual, "<>": opNotEqual, "!=": opNotEqual,
	"<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual,
}

var opNames = [...]string{
	"=", "<>", "<", ">=", "<=", ">", "BETWEEN", "NOT BETWEEN", "IN", "NOT IN", "LIKE", "NOT LIKE", "IS NULL", "IS NOT NULL",
}

// mirrored is the test with the sides exchanged.
func (o op) mirrored() op {
	switch o {
	case opLess:
		return opGreater
	case opGreater:
		return opLess
	case opLessEqual:
		return opGreaterEqual
	case opGreaterEqual:
		return opLessEqual
	}
	return o
}

// node is a condition bound to a schema: an *atom or a *junction. There is no
// NOT: it is moved into the atoms, which De Morgan's laws allow in the logic of
// three values also. What is left has only AND and OR above the atoms, and both
// are true only by their operands being true; so evaluation needs no third
// value: an atom that is unknown counts as not true.
type node interface{ String() string }

// junction joins two or more conditions, none of which is a junction of the
// same kind.
type junction struct {
	and  bool
	kids []node
}

func (j *junction) String() string {
	parts := make([]string, len(j.kids))
	for i, k := range j.kids {
		parts[i] = k.String()
		if _, inner := k.(*junction); inner {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	if j.and {
		return strings.Join(parts, " AND ")
	}
	return strings.Join(parts, " OR ")
}

// atom tests one column.
type atom struct {
	col    *kudu.Column
	index  int // of the column in the table's schema
	dom    domain
	op     op
	args   []constant
	like   *pattern
	escape string
}

func (a *atom) String() string {
	name, sign := quoteName(a.col.Name), opNames[a.op]
	switch a.op {
	case opIsNull, opIsNotNull:
		return name + " " + sign
	case opBetween, opNotBetween:
		return fmt.Sprintf("%s %s %s AND %s", name, sign, a.args[0].text, a.args[1].text)
	case opIn, opNotIn:
		texts := make([]string, len(a.args))
		for i := range a.args {
			texts[i] = a.args[i].text
		}
		return fmt.Sprintf("%s %s (%s)", name, sign, strings.Join(texts, ", "))
	case opLike, opNotLike:
		if a.escape != "" {
			return fmt.Sprintf("%s %s %s ESCAPE %s", name, sign, a.args[0].text, a.escape)
		}
	}
	return fmt.Sprintf("%s %s %s", name, sign, a.args[0].text)
}

// usesNow reports whether a value depends on the instant of the pass.
func (a *atom) usesNow() bool {
	for i := range a.args {
		if a.args[i].now {
			return true
		}
	}
	return false
}

// quoteName writes a column's name so that it can be read again.
func quoteName(name string) string {
	first, _ := utf8.DecodeRuneInString(name)
	if isNameStart(first) && nameLen(name) == len(name) && !whereKeywords[strings.ToUpper(name)] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// maxFaults is how many faults of one text are told.
const maxFaults = 10

// binder binds names and values to a schema, and collects the faults.
type binder struct {
	text   string
	schema *kudu.Schema
	faults []error
}

func (b *binder) fault(at int, what, remedy string) {
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, &Error{Text: b.text, Offset: at, What: what, Remedy: remedy})
	}
}

// joined is nil, the only fault, or all of them.
func joined(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	return errors.Join(faults...)
}

func (b *binder) or(e *orExpr, not bool) node {
	kids := make([]node, len(e.Terms))
	for i, t := range e.Terms {
		kids[i] = b.and(t, not)
	}
	return join(not, kids)
}

func (b *binder) and(e *andExpr, not bool) node {
	kids := make([]node, len(e.Factors))
	for i, f := range e.Factors {
		kidNot := not != (len(f.Nots)%2 == 1)
		if f.Group != nil {
			kids[i] = b.or(f.Group, kidNot)
		} else {
			kids[i] = b.comparison(f.Test, kidNot)
		}
	}
	return join(!not, kids)
}

// join makes a junction, without kids of its own kind or a single one. Faults
// leave nil kids, which are dropped: nothing evaluates such a tree.
func join(and bool, kids []node) node {
	var flat []node
	for _, k := range kids {
		if j, ok := k.(*junction); ok && j.and == and {
			flat = append(flat, j.kids...)
		} else if k != nil {
			flat = append(flat, k)
		}
	}
	switch {
	case len(flat) == 0:
		return nil
	case len(flat) == 1:
		return flat[0]
	case !and:
		if in := mergeEquals(flat); in != nil {
			return in
		}
	}
	return &junction{and: and, kids: flat}
}

// mergeEquals makes an IN of an OR of = and IN of one column, nil if it isn't
// one.
func mergeEquals(kids []node) node {
	var in *atom
	for _, k := range kids {
		a, ok := k.(*atom)
		if !ok || a.op != opEqual && a.op != opIn {
			return nil
		}
		switch {
		case in == nil:
			in = &atom{col: a.col, index: a.index, dom: a.dom, op: opIn}
		case in.index != a.index:
			return nil
		}
		in.args = append(in.args, a.args...)
	}
	return in
}

// comparison binds one test; nil after a fault.
func (b *binder) comparison(c *comparison, not bool) node {
	switch {
	case c.Is != nil:
		a := b.column(c.Left)
		if a == nil {
			return nil
		}
		return a.with(opIsNull, c.Is.Not != not)
	case c.Set != nil:
		return b.setTest(c, c.Set.Not != not)
	case c.Op != "":
		return b.sides(c, not)
	}
	if !b.isColumn(c.Left) {
		b.fault(c.Left.Pos.Offset, c.Left.short()+" alone is not a condition", "expected a condition, such as column = value")
		return nil
	}
	a := b.column(c.Left)
	switch {
	case a == nil:
		return nil
	case a.col.Type != kudu.Bool:
		b.fault(c.Left.Pos.Offset, fmt.Sprintf("column %q alone is not a condition, since it is %s and not BOOL", a.col.Name, a.col.TypeString()), "compare it with a value")
		return nil
	}
	a.args = []constant{{datum: datum{i: 1}, text: "TRUE"}}
	return a.with(opEqual, not)
}

// with gives the atom its test, or the opposite one.
func (a *atom) with(o op, opposite bool) *atom {
	if a.op = o; opposite {
		a.op = o.opposite()
	}
	return a
}

// sides binds a comparison by a sign, where one side is a column.
func (b *binder) sides(c *comparison, not bool) node {
	left, right, o := c.Left, c.Right, opSigns[c.Op]
	switch {
	case b.isColumn(left) && b.isColumn(right):
		what := right.short() + " is not a value"
		if right.Name[0] != '"' && right.Name[0] != '`' {
			b.fault(right.Pos.Offset, what, "text is written in single quotes; two columns can't be compared")
		} else {
			b.fault(right.Pos.Offset, what, "double quotes and backquotes are for columns, text is written in single quotes; two columns can't be compared")
		}
		return nil
	case b.isColumn(right):
		left, right, o = right, left, o.mirrored()
	case !b.isColumn(left):
		b.fault(left.Pos.Offset, fmt.Sprintf("%s %s %s has no column", left.short(), c.Op, right.short()), "write a column on one side")
		return nil
	}
	a := b.column(left)
	if a == nil || !b.comparable(left, a) {
		return nil
	}
	if !b.value(a, right) {
		return nil
	}
	return a.with(o, not)
}

func (b *binder) setTest(c *comparison, not bool) node {
	if !b.isColumn(c.Left) {
		b.fault(c.Left.Pos.Offset, c.Left.short()+" is not a column", "a column has to stand before IN, BETWEEN and LIKE")
		return nil
	}
	a := b.column(c.Left)
	if a == nil || !b.comparable(c.Left, a) {
		return nil
	}
	ok := true
	switch s := c.Set; {
	case s.In != nil:
		for _, v := range s.In {
			ok = b.value(a, v) && ok
		}
		a.with(opIn, not)
	case s.Lower != nil:
		ok = b.value(a, s.Lower)
		ok = b.value(a, s.Upper) && ok
		a.with(opBetween, not)
	default:
		ok = b.pattern(a, s)
		a.with(opLike, not)
	}
	if !ok {
		return nil
	}
	return a
}

// isColumn tells a column from a value. The words for floats that aren't
// numbers are columns only if the table has such.
func (b *binder) isColumn(o *operand) bool {
	if o.Name == "" {
		return false
	}
	_, word := o.floatWord()
	return !word || b.schema.Index(o.Name) >= 0
}

// column finds the column of a name; nil, with a fault, if there is none.
func (b *binder) column(o *operand) *atom {
	switch {
	case !b.isColumn(o):
		b.fault(o.Pos.Offset, o.short()+" is not a column", "write a column here")
		return nil
	case o.Sign != "":
		b.fault(o.Pos.Offset, "a sign can't stand before a column", "")
		return nil
	}
	i := b.find(o.Pos.Offset, o.Name)
	if i < 0 {
		return nil
	}
	col := b.schema.Column(i)
	return &atom{col: col, index: i, dom: domainOf(col.Type)}
}

// find looks a name up as it was written, with its quotes; -1, with a fault,
// if there is no such column.
func (b *binder) find(at int, written string) int {
	name := bareName(written)
	i := b.schema.Index(name)
	if i >= 0 {
		return i
	}
	remedy := "the table's columns are " + b.names()
	near := nearest(name, func(yield func(string) bool) {
		for j := range b.schema.NumColumns() {
			if !yield(b.schema.Column(j).Name) {
				return
			}
		}
	})
	if near != "" {
		remedy = "did you mean " + quoteName(near) + "?"
	}
	b.fault(at, fmt.Sprintf("the table has no column %q", quoteShort(name)), remedy)
	return -1
}

// names lists the columns, not too many.
func (b *binder) names() string {
	const most = 12
	var names []string
	for i := range b.schema.NumColumns() {
		if i == most {
			names = append(names, "...")
			break
		}
		names = append(names, quoteName(b.schema.Column(i).Name))
	}
	return strings.Join(names, ", ")
}

func (b *binder) comparable(o *operand, a *atom) bool {
	if a.dom == domNone {
		b.fault(o.Pos.Offset, fmt.Sprintf("column %q is %s, whose values can't be compared", a.col.Name, a.col.TypeString()), "only IS NULL and IS NOT NULL can test it")
	}
	return a.dom != domNone
}

// value binds one more value of the atom.
func (b *binder) value(a *atom, o *operand) bool {
	at, col := o.Pos.Offset, a.col
	if o.Null {
		b.fault(at, "nothing is equal to, above or below NULL", fmt.Sprintf("write %s IS NULL or %[1]s IS NOT NULL", quoteName(col.Name)))
		return false
	}
	if o.Now && (col.Type == kudu.UnixtimeMicros || col.Type == kudu.Date) {
		return b.now(a, o)
	}
	if o.Sign != "" && o.Number == "" {
		if _, word := o.floatWord(); !word {
			b.fault(at, "a sign can stand only before a number", "")
			return false
		}
	}
	d, mismatch, err := o.typed(col)
	if _, word := o.floatWord(); mismatch && o.Name != "" && !word {
		b.fault(at, o.short()+" is not a value", "text is written in single quotes; two columns can't be compared")
		return false
	}
	if mismatch {
		b.fault(at, fmt.Sprintf("column %q is %s, and %s is %s", col.Name, col.TypeString(), o.short(), o.kindFor(col)), wanted(col))
		return false
	}
	if err != nil {
		b.fault(at, err.Error(), "")
		return false
	}
	a.args = append(a.args, constant{datum: d, text: o.source()})
	return true
}

// kindFor names what was written where the column wants something else.
func (o *operand) kindFor(col *kudu.Column) string {
	switch col.Type {
	case kudu.Int8, kudu.Int16, kudu.Int32, kudu.Int64:
		if o.Number != "" {
			return "not a whole number"
		}
	}
	if o.Number != "" && col.Type.Decimal() {
		return "a number with an exponent"
	}
	if _, word := o.floatWord(); word && o.Name != "" {
		return "no number of that type"
	}
	return o.kindOf()
}

func (b *binder) now(a *atom, o *operand) bool {
	c := constant{now: true, text: o.source()}
	for _, s := range o.Shifts {
		per, ok := unitOf(s.Unit.Value)
		if !ok {
			b.fault(s.Unit.Pos.Offset, quoteShort(s.Unit.Value)+" is not a unit", "write "+unitNames)
			return false
		}
		micros, err := parseShift(s.Amount.Value, per)
		if err != nil {
			b.fault(s.Amount.Pos.Offset, err.Error(), "")
			return false
		}
		if s.Sign == "-" {
			micros = -micros
		}
		if c.shift += micros; c.shift > maxShift || c.shift < -maxShift {
			b.fault(s.Pos.Offset, "now() can be moved by 365000 days at most, in all", "")
			return false
		}
	}
	a.args = append(a.args, c)
	return true
}

// pattern binds what LIKE matches with.
func (b *binder) pattern(a *atom, s *setTest) bool {
	col, at := a.col, s.Like.Pos.Offset
	if a.dom != domBytes {
		b.fault(at, fmt.Sprintf("column %q is %s, and LIKE is for STRING, VARCHAR and BINARY", col.Name, col.TypeString()), wanted(col)+" and compare by another operator")
		return false
	}
	binary := col.Type == kudu.Binary
	text, ok := b.patternText(s.Like, binary, "a pattern in single quotes")
	if !ok {
		return false
	}
	escape := ""
	if s.Escape != nil {
		if escape, ok = b.patternText(s.Escape, binary, "one character in single quotes"); !ok {
			return false
		}
		if n := utf8.RuneCountInString(escape); n != 1 || binary && len(escape) != 1 {
			b.fault(s.Escape.Pos.Offset, fmt.Sprintf("the escape is %s", s.Escape.short()), "expected one character in single quotes")
			return false
		}
		a.escape = s.Escape.source()
	}
	p, err := newPattern(text, escape, !binary)
	if err != nil {
		b.fault(at, err.Error(), "")
		return false
	}
	a.like = p
	a.args = []constant{{datum: datum{s: text}, text: s.Like.source()}}
	return true
}

func (b *binder) patternText(o *operand, binary bool, what string) (string, bool) {
	switch {
	case o.Text != "" && o.Sign == "":
		return unquote(o.Text), true
	case o.Hex != "" && binary && o.Sign == "":
		text, err := unhex(o.Hex)
		if err != nil {
			b.fault(o.Pos.Offset, err.Error(), "")
		}
		return text, err == nil
	}
	b.fault(o.Pos.Offset, fmt.Sprintf("%s is not a pattern", o.short()), "expected "+what)
	return "", false
}
