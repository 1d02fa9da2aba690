package metrics

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This reads the part of PromQL that the rules and the dashboard are written in,
// to find out which metrics and labels they name. What it doesn't know is an error.

// promQL is what an expression names.
type promQL struct {
	selectors []selector
	result    []string // the labels of the result; nil: those of its selectors
}

// selector is a metric with its matchers.
type selector struct {
	metric   string
	matchers []matcher
	ranged   bool
}

type matcher struct{ label, op, value string }

var (
	promTokens = regexp.MustCompile(`^(?:[ \t\n]+|[a-zA-Z_:][a-zA-Z0-9_:]*|\$[a-z_]+|[0-9]+(?:\.[0-9]+)?(?:ms|[smhdwy])?|"(?:[^"\\]|\\.)*"|==|!=|<=|>=|=~|!~|[-+*/%^<>=(){}\[\],])`)

	// The functions in use: true for those of a range.
	promFunctions = map[string]bool{
		"rate": true, "increase": true, "absent": false, "histogram_quantile": false,
	}
	promAggregates = []string{"sum", "max", "min", "count", "topk"}
	promOperators  = []string{"+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless"}
	promDurations  = regexp.MustCompile(`^([0-9]+[smhdwy]|\$__rate_interval)$`)
)

// promParser goes through the tokens of an expression.
type promParser struct {
	tokens []string
	out    promQL
}

func parsePromQL(text string) (promQL, error) {
	p := &promParser{}
	for rest := text; rest != ""; {
		token := promTokens.FindString(rest)
		if token == "" {
			return promQL{}, fmt.Errorf("nothing is known to begin like %.20q", rest)
		}
		rest = rest[len(token):]
		if strings.TrimSpace(token) != "" {
			p.tokens = append(p.tokens, token)
		}
	}
	labels, err := p.expression()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is too much", p.tokens)
	}
	p.out.result = labels
	return p.out, err
}

func (p *promParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *promParser) next() string {
	token := p.peek()
	p.tokens = p.tokens[min(1, len(p.tokens)):]
	return token
}

func (p *promParser) expect(token string) error {
	if got := p.next(); got != token {
		return fmt.Errorf("%q stands where %q should", got, token)
	}
	return nil
}

// expression reads operands and operators. It gives the labels of the result, if
// an aggregation says which those are.
func (p *promParser) expression() ([]string, error) {
	labels, err := p.operand()
	for err == nil && slices.Contains(promOperators, p.peek()) {
		p.next()
		if on := p.peek(); on == "on" || on == "ignoring" {
			p.next()
			if _, err := p.names(); err != nil {
				return nil, err
			}
		}
		if _, err = p.operand(); err != nil {
			return nil, err
		}
	}
	return labels, err
}

func (p *promParser) operand() ([]string, error) {
	token := p.next()
	switch {
	case token == "":
		return nil, errors.New("it ends too early")
	case token == "(":
		labels, err := p.expression()
		if err != nil {
			return nil, err
		}
		return labels, p.expect(")")
	case token[0] >= '0' && token[0] <= '9':
		return nil, nil
	case slices.Contains(promAggregates, token):
		return p.aggregate(token)
	case token == "time" && p.peek() == "(":
		p.next()
		return nil, p.expect(")")
	case p.peek() == "(":
		return p.call(token)
	case regexp.MustCompile(`^[a-zA-Z_:]`).MatchString(token):
		return nil, p.selector(token)
	}
	return nil, fmt.Errorf("%q isn't known", token)
}

func (p *promParser) names() (all []string, err error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for {
		all = append(all, p.next())
		switch token := p.next(); token {
		case ",":
		case ")":
			return all, nil
		default:
			return nil, fmt.Errorf("%q stands in a list of labels", token)
		}
	}
}

func (p *promParser) aggregate(name string) ([]string, error) {
	labels := []string{}
	if p.peek() == "by" {
		p.next()
		var err error
		if labels, err = p.names(); err != nil {
			return nil, err
		}
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	inner, err := p.expression()
	if err == nil && name == "topk" {
		if err = p.expect(","); err == nil {
			inner, err = p.expression()
		}
		labels = inner // topk keeps what it chooses from
	}
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		if inner != nil && !slices.Contains(inner, l) {
			return nil, fmt.Errorf("label %s isn't left to aggregate by", l)
		}
	}
	return labels, p.expect(")")
}

func (p *promParser) call(name string) (labels []string, err error) {
	ranged, known := promFunctions[name]
	if !known {
		return nil, fmt.Errorf("function %s isn't known", name)
	}
	before := len(p.out.selectors)
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for {
		if labels, err = p.expression(); err != nil {
			return nil, err
		}
		if p.peek() != "," {
			break
		}
		p.next()
	}
	if len(p.out.selectors) == before {
		return nil, fmt.Errorf("%s looks at no metric", name)
	}
	for _, s := range p.out.selectors[before:] {
		if ranged && !s.ranged {
			return nil, fmt.Errorf("%s of %s needs a range", name, s.metric)
		}
	}
	if name == "histogram_quantile" {
		if !slices.Contains(labels, "le") {
			return nil, errors.New("histogram_quantile needs le")
		}
		labels = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return l == "le" })
	}
	return labels, p.expect(")")
}

func (p *promParser) selector(metric string) error {
	s := selector{metric: metric}
	if p.peek() == "{" {
		p.next()
		for p.peek() != "}" {
			m := matcher{label: p.next(), op: p.next()}
			if !slices.Contains([]string{"=", "!=", "=~", "!~"}, m.op) {
				return fmt.Errorf("%q stands in a matcher of %s", m.op, metric)
			}
			value := p.next()
			if len(value) < 2 || value[0] != '"' {
				return fmt.Errorf("%s is compared with %q", m.label, value)
			}
			m.value = value[1 : len(value)-1]
			s.matchers = append(s.matchers, m)
			if p.peek() == "," {
				p.next()
			} else if p.peek() != "}" {
				return fmt.Errorf("%q stands between matchers of %s", p.peek(), metric)
			}
		}
		p.next()
	}
	if p.peek() == "[" {
		p.next()
		if d := p.next(); !promDurations.MatchString(d) {
			return fmt.Errorf("%q is no range", d)
		}
		s.ranged = true
		if err := p.expect("]"); err != nil {
			return err
		}
	}
	p.out.selectors = append(p.out.selectors, s)
	return nil
}

func TestExpressionsAreReadAndBadOnesRefused(t *testing.T) {
	got, err := parsePromQL(`topk(3, sum by (connector, le) (rate(a_bucket{x="1",y!~"b|c"}[5m])))
		/ on (connector) max by (connector) (b) > 1.5`)
	if err != nil || len(got.selectors) != 2 || got.selectors[0].metric != "a_bucket" || !got.selectors[0].ranged ||
		!slices.Equal(got.selectors[0].matchers, []matcher{{"x", "=", "1"}, {"y", "!~", "b|c"}}) || !slices.Equal(got.result, []string{"connector", "le"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "sum(a", "sum(a))", "rate(a)", "rate(a[5])", "a{b=1}", "a{b}", `a{b="1" c="2"}`, "nothing(a)", "a +", "a b", "a @ 1",
		"sum by (connector) (sum by (task) (a))", "histogram_quantile(0.9, sum by (x) (rate(a[5m])))", "rate(5)", "by (a)",
	} {
		if got, err := parsePromQL(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}
