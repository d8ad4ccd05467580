package fulltext

import (
	"strings"
	"unicode"

	"rialto/internal/model"
)

// Op says how a Query is meant.
type Op uint8

// The operators.
const (
	Word   Op = iota // Text in any inflection; of several words a Phrase
	Prefix           // words that begin with Text
	Phrase           // the words of Text one after the other, as they stand
	And              // all of Subs
	Or               // any of Subs
	Not              // not Subs[0]
)

// Query is a search for words.
type Query struct {
	Op    Op
	Field Field // of a leaf; 0: everywhere but in Header
	Text  string
	Subs  []Query
}

// Limits of a query.
const (
	maxQuery  = 4 << 10 // octets
	maxLeaves = 64
	maxNested = 32
)

// Parse reads what people type: words, all of which must be there; "phrases";
// OR; NOT or - before what must not be there; word* for a prefix; parentheses;
// field:word, where field is subject, from, to, cc, bcc, body, header or
// attachment. Nothing but the size is an error: what makes no sense is read as
// words.
func Parse(text string) (Query, error) {
	if len(text) > maxQuery {
		return Query{}, model.E("fulltext.parse", model.KindTooLarge, "query", nil)
	}
	p := parser{words: split(text)}
	q := p.or(0)
	if p.leaves > maxLeaves {
		return Query{}, model.E("fulltext.parse", model.KindTooLarge, "words of a query", nil)
	}
	return q, nil
}

// split cuts a query into words, parentheses and phrases, which keep their first
// quotation mark.
func split(s string) (out []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		n := strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"' })
		switch {
		case n < 0:
			n = len(s)
		case s[n] == '"' && (n == 0 || s[n-1] == ':' || s[:n] == "-"):
			end := strings.IndexByte(s[n+1:], '"')
			if end < 0 {
				end = len(s) - n - 1
			}
			out = append(out, s[:n+1+end])
			s = s[min(len(s), n+end+2):]
			continue
		case n == 0 || s[:n] == "-" && s[n] == '(':
			n++
		}
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

type parser struct {
	words  []string
	leaves int
}

func (p *parser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *parser) or(depth int) Query {
	subs := []Query{p.and(depth)}
	for p.peek() == "OR" {
		p.words = p.words[1:]
		subs = append(subs, p.and(depth))
	}
	return join(Or, subs)
}

func (p *parser) and(depth int) Query {
	var subs []Query
	for len(p.words) > 0 && p.peek() != "OR" {
		if p.peek() == ")" {
			if depth > 0 {
				break
			}
			p.words = p.words[1:]
			continue
		}
		if q, ok := p.term(depth); ok {
			subs = append(subs, q)
		}
	}
	return join(And, subs)
}

func join(op Op, subs []Query) Query {
	if len(subs) == 1 {
		return subs[0]
	}
	return Query{Op: op, Subs: subs}
}

func (p *parser) term(depth int) (Query, bool) {
	w := p.words[0]
	p.words = p.words[1:]
	not := false
	switch {
	case w == "AND":
		return Query{}, false
	case w == "NOT" && len(p.words) > 0 && p.peek() != ")" && p.peek() != "OR":
		not, w = true, p.words[0]
		p.words = p.words[1:]
	case len(w) > 1 && w[0] == '-':
		not, w = true, w[1:]
	}
	var q Query
	if w == "(" {
		if depth >= maxNested {
			return Query{}, false
		}
		q = p.or(depth + 1)
		if p.peek() == ")" {
			p.words = p.words[1:]
		}
	} else {
		q = leaf(w)
		p.leaves++
	}
	if not {
		q = Query{Op: Not, Subs: []Query{q}}
	}
	return q, true
}

func leaf(w string) Query {
	var q Query
	if name, rest, ok := strings.Cut(w, ":"); ok && rest != "" {
		if q.Field = fieldNamed(strings.ToLower(name)); q.Field != 0 {
			w = rest
		}
	}
	switch {
	case strings.HasPrefix(w, `"`):
		q.Op, w = Phrase, w[1:]
	case len(w) > 1 && strings.HasSuffix(w, "*"):
		q.Op, w = Prefix, w[:len(w)-1]
	}
	q.Text = w
	return q
}

func fieldNamed(name string) Field {
	switch name {
	case "subject":
		return Subject
	case "from":
		return From
	case "to":
		return To
	case "cc":
		return Cc
	case "bcc":
		return Bcc
	case "body":
		return Body
	case "header":
		return Header
	case "attachment":
		return Attachment
	}
	return 0
}
