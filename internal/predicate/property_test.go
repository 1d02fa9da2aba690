package predicate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// truth is a value of SQL's logic. AND is the minimum, OR the maximum.
type truth int

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// model is a condition that was made at random: its text, and what it is true
// of, by the places of a row's values in their pools alone.
type model struct {
	text string
	eval func(testRow) truth
}

func (m model) not() model {
	return model{"NOT (" + m.text + ")", func(r testRow) truth { return isTrue - m.eval(r) }}
}

// modelGen draws conditions.
type modelGen struct {
	t  *rapid.T
	ps []pool
}

func (g modelGen) int(label string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(g.t, label) }

func (g modelGen) keyword(s string) string {
	if g.int("case", 0, 1) == 0 {
		return strings.ToLower(s)
	}
	return s
}

// literal draws a value of the pool that can be written.
func (g modelGen) literal(p *pool) (text string, rank int) {
	for {
		s := p.samples[g.int("literal", 0, len(p.samples)-1)]
		if len(s.texts) > 0 {
			return s.texts[g.int("text", 0, len(s.texts)-1)], s.rank
		}
	}
}

func (g modelGen) condition(depth int) model {
	switch k := g.int("kind", 0, 9); {
	case depth > 0 && k < 4:
		n := g.int("operands", 2, 3)
		kids := make([]model, n)
		texts := make([]string, n)
		for i := range kids {
			kids[i] = g.condition(depth - 1)
			texts[i] = "(" + kids[i].text + ")"
		}
		if k < 2 {
			return model{strings.Join(texts, g.keyword(" AND ")), func(r testRow) truth {
				out := isTrue
				for _, kid := range kids {
					out = min(out, kid.eval(r))
				}
				return out
			}}
		}
		return model{strings.Join(texts, g.keyword(" OR ")), func(r testRow) truth {
			out := isFalse
			for _, kid := range kids {
				out = max(out, kid.eval(r))
			}
			return out
		}}
	case depth > 0 && k == 4:
		return g.condition(depth - 1).not()
	}
	return g.test()
}

// test draws a test of one column.
func (g modelGen) test() model {
	p := &g.ps[g.int("column", 0, len(g.ps)-1)]
	name := quoteName(p.column)
	if name == p.column && g.int("quote", 0, 5) == 0 {
		name = "`" + name + "`"
	}
	byRank := func(text string, holds func(rank int) bool) model {
		return model{text, func(r testRow) truth {
			if r[p.column] < 0 {
				return isUnknown
			}
			return truthOf(holds(p.samples[r[p.column]].rank))
		}}
	}
	not := ""
	if g.int("not", 0, 2) == 0 {
		not = g.keyword("NOT ")
	}
	switch k := g.int("test", 0, 9); {
	case k == 0:
		return model{name + g.keyword(" IS ") + not + "NULL", func(r testRow) truth { return truthOf((r[p.column] < 0) == (not == "")) }}
	case k == 1:
		lo, loRank := g.literal(p)
		hi, hiRank := g.literal(p)
		return byRank(fmt.Sprintf("%s %sBETWEEN %s AND %s", name, not, lo, hi), func(k int) bool { return (k >= loRank && k <= hiRank) == (not == "") })
	case k <= 3:
		var texts []string
		ranks := map[int]bool{}
		for range g.int("values", 1, 12) {
			text, rank := g.literal(p)
			texts, ranks[rank] = append(texts, text), true
		}
		return byRank(fmt.Sprintf("%s %sIN (%s)", name, not, strings.Join(texts, ", ")), func(k int) bool { return ranks[k] == (not == "") })
	case k == 4 && (p.column == "status" || p.column == "code" || p.column == "raw"):
		return g.like(p, name, not)
	case k == 4 && p.column == "flag":
		return byRank(name, func(k int) bool { return k == 2 })
	}
	text, rank := g.literal(p)
	signs := []string{"=", "<>", "!=", "<", "<=", ">", ">="}
	mirror := []string{"=", "<>", "!=", ">", ">=", "<", "<="}
	i := g.int("sign", 0, len(signs)-1)
	out := fmt.Sprintf("%s %s %s", name, signs[i], text)
	if g.int("mirrored", 0, 3) == 0 {
		out = fmt.Sprintf("%s %s %s", text, mirror[i], name)
	}
	return byRank(out, func(k int) bool {
		return []bool{k == rank, k != rank, k != rank, k < rank, k <= rank, k > rank, k >= rank}[i]
	})
}

func (g modelGen) like(p *pool, name, not string) model {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "ab", "%", "%", "_", "!%", "!_", "!!", "x", "\u00e9"}), 0, 5).Draw(g.t, "pattern")
	escape := g.int("escape", 0, 1) == 1
	if !escape {
		parts = slices.DeleteFunc(parts, func(s string) bool { return s[0] == '!' })
	}
	text := fmt.Sprintf("%s %sLIKE %s", name, not, quoted(strings.Join(parts, "")))
	if escape {
		text += " ESCAPE '!'"
	}
	binary := p.column == "raw"
	return model{text, func(r testRow) truth {
		if r[p.column] < 0 {
			return isUnknown
		}
		var chars []string
		switch v := p.samples[r[p.column]].value.(type) {
		case []byte:
			chars = charsOf(string(v), true)
		case string:
			chars = charsOf(v, false)
		}
		return truthOf(likeModel(parts, chars, binary) == (not == ""))
	}}
}

// charsOf cuts a string into characters, or into bytes.
func charsOf(s string, binary bool) []string {
	var out []string
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		if binary {
			n = 1
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

// likeModel tries everything.
func likeModel(parts, chars []string, binary bool) bool {
	if len(parts) == 0 {
		return len(chars) == 0
	}
	switch part := parts[0]; part {
	case "%":
		for i := 0; i <= len(chars); i++ {
			if likeModel(parts[1:], chars[i:], binary) {
				return true
			}
		}
		return false
	case "_":
		return len(chars) > 0 && likeModel(parts[1:], chars[1:], binary)
	default:
		want := charsOf(strings.TrimPrefix(part, "!"), binary)
		return len(chars) >= len(want) && slices.Equal(chars[:len(want)], want) && likeModel(parts[1:], chars[len(want):], binary)
	}
}

func (g modelGen) rows() []testRow {
	rows := make([]testRow, g.int("rows", 0, 40))
	for i := range rows {
		rows[i] = testRow{}
		for _, p := range g.ps {
			least := -1
			if p.column == "id" {
				least = 0
			}
			rows[i][p.column] = g.int(p.column, least, len(p.samples)-1)
		}
	}
	return rows
}

func TestPushedAndEvaluatedTogetherSelectWhatTheLogicOfThreeValuesDoes(t *testing.T) {
	schema, ps := allTypes(t), pools()
	rapid.Check(t, func(rt *rapid.T) {
		g := modelGen{rt, ps}
		rows := g.rows()
		for range 5 {
			m := g.condition(3)
			f := compiled(t, m.text, schema)
			var want []int
			for i, r := range rows {
				if m.eval(r) == isTrue {
					want = append(want, i)
				}
			}
			// As it is read, evaluated wholly here, in part, and read anew.
			again := compiled(t, f.String(), schema)
			nothing := f.PushOnly(func(*kudu.Column) bool { return false })
			some := f.PushOnly(func(c *kudu.Column) bool { return c.Type != kudu.Int32 && c.Type != kudu.String })
			for i, g := range []*Filter{f, nothing, some, again} {
				if got := selected(t, g, ps, rows); !slices.Equal(got, want) {
					rt.Fatalf("%s\nunderstood as %s\nform %d selects %v, want %v\npushed %v", m.text, f, i, got, want, g.At(noon).Pushed())
				}
			}
			if b := nothing.At(noon); len(b.Pushed()) > 0 {
				rt.Fatalf("%s: pushed though nothing may be: %v", m.text, b.Pushed())
			}
			if f.At(noon).Never() && len(want) > 0 {
				rt.Fatalf("%s: never true, but of %v", m.text, want)
			}
			if again.String() != f.String() {
				rt.Fatalf("%s is read back as %s", f, again)
			}
		}
	})
}
