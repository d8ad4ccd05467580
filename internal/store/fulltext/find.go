package fulltext

import (
	"bytes"
	"context"
	"strings"
	"unicode/utf8"

	"rialto/internal/store"
)

// Verdict is what the index knows of an item and a search.
type Verdict uint8

// The verdicts.
const (
	No    Verdict = iota
	Maybe         // the text has to be looked at
	Yes
)

// Hits is the answer to a substring search. It is for one goroutine.
type Hits struct {
	segs []segment
	last int // the run that had the last item
}

// segment is the answer of one run.
type segment struct {
	table      *docTable
	from, to   store.RowID
	hint       int
	yes, maybe bitmap
}

// Test tells of an item by its row id and OID. Of what the index does not know,
// new mail above all, it says Maybe.
func (h *Hits) Test(r store.RowID, o store.OID) Verdict {
	for n := range h.segs {
		k := h.last + n
		if k >= len(h.segs) {
			k -= len(h.segs)
		}
		s := &h.segs[k]
		if r < s.from || r > s.to {
			continue
		}
		i, ok := s.table.find(r, o, &s.hint)
		if !ok {
			continue
		}
		h.last = k
		switch {
		case s.yes.has(i):
			return Yes
		case s.maybe.has(i) || s.table.docs[i].loose:
			return Maybe
		}
		return No
	}
	return Maybe
}

// Find looks for text, without regard to case, in any of fields of the items of
// a mailbox. It returns nil if the index can not tell: there is none, or the
// text has neither letters nor digits.
func (x *Indexes) Find(ctx context.Context, m *store.Mailbox, text string, fields ...Field) (*Hits, error) {
	n := newNeedle(text)
	if n == nil {
		return nil, nil
	}
	e := x.entry(m)
	r, err := x.open(ctx, m, e)
	if err != nil || r == nil {
		return nil, err
	}
	defer r.close()
	h := new(Hits)
	for _, run := range r.runs {
		if len(run.table.docs) == 0 {
			continue
		}
		s, err := n.search(ctx, run, fields)
		if err != nil {
			if x.noted(e, err) {
				err = nil
			}
			return nil, err
		}
		h.segs = append(h.segs, s)
	}
	return h, nil
}

// needle is a text to be found, as what the dictionary must have.
type needle struct {
	tokens []token
	single bool // the text is one token and nothing else
	odd    bool // also what has an odd character may match
}

// token is a token of a needle.
type token struct {
	text        []byte
	left, right bool     // words may go on before or after it
	chars       int      //
	grams       [][]byte // what pieces say of it, nil: it is within one piece
	dense       bool
}

// newNeedle returns nil for a text without tokens.
func newNeedle(text string) *needle {
	lower := strings.ToLower(text)
	n := &needle{tokens: newNeedleTokens(text)}
	if len(n.tokens) == 0 {
		return nil
	}
	n.single = len(n.tokens) == 1 && len(n.tokens[0].text) == len(lower)
	n.odd = strings.ContainsFunc(lower, func(r rune) bool { return r >= utf8.RuneSelf }) && strings.ContainsAny(lower, "ik")
	n.thin()
	return n
}

// newNeedleTokens cuts a text to be found into tokens.
func newNeedleTokens(text string) (out []token) {
	lower := []byte(strings.ToLower(text))
	var t tokenizer
	for i := 0; i < len(lower); {
		size, cl := t.token(lower[i:])
		if cl != separator {
			tok := token{text: bytes.Clone(t.buf), left: i == 0, right: i+size == len(lower), chars: t.chars(), dense: cl == dense}
			per := 3
			if tok.dense {
				per = 2
			}
			if tok.chars >= per {
				t.grams(per, func(g []byte) { tok.grams = append(tok.grams, bytes.Clone(g)) })
			}
			out = append(out, tok)
		}
		i += size
	}
	return out
}

// thin leaves out tokens that say little beside others.
func (n *needle) thin() {
	var strong []token
	for _, t := range n.tokens {
		if t.chars >= 2 {
			strong = append(strong, t)
		}
	}
	if len(strong) > 0 {
		n.tokens = strong
	}
}

// pattern is what is looked for in a dictionary, and who has it.
type pattern struct {
	text        []byte
	left, right bool
	gram        bool // a whole term, pieces included; else in words
	within      bool // in pieces too
	found       bitmap
}

// matches decides about a term that may match.
func (p *pattern) matches(term []byte) bool {
	if p.gram {
		return bytes.Equal(term, p.text)
	}
	if term[0] <= oddTerm && !p.within {
		return false
	}
	switch {
	case p.left && p.right || term[0] <= oddTerm:
		return bytes.Contains(term, p.text)
	case p.left:
		return bytes.HasSuffix(term, p.text)
	case p.right:
		return bytes.HasPrefix(term, p.text)
	}
	return bytes.Equal(term, p.text)
}

// patterns returns what is looked for because of a token: first the words, then
// the pieces of which an item must have all.
func (t *token) patterns(docs int) []pattern {
	out := []pattern{{text: t.text, left: t.left, right: t.right, within: t.grams == nil, found: newBitmap(docs)}}
	for _, g := range t.grams {
		out = append(out, pattern{text: g, gram: true, found: newBitmap(docs)})
	}
	return out
}

// search answers for one run.
func (n *needle) search(ctx context.Context, r *run, fields []Field) (segment, error) {
	docs := r.table.docs
	s := segment{table: r.table, from: docs[0].row, to: docs[len(docs)-1].row, yes: newBitmap(len(docs)), maybe: newBitmap(len(docs))}
	for _, f := range fields {
		var ps []pattern
		var ends []int // of the patterns of each token
		for i := range n.tokens {
			ps = append(ps, n.tokens[i].patterns(len(docs))...)
			ends = append(ends, len(ps))
		}
		if n.odd {
			ps = append(ps, pattern{text: []byte{oddTerm}, gram: true, found: s.maybe})
		}
		if err := lookUp(ctx, r, f, ps); err != nil {
			return s, err
		}
		n.combine(&s, ps, ends)
	}
	return s, nil
}

// combine joins what the patterns found in one field to the answer.
func (n *needle) combine(s *segment, ps []pattern, ends []int) {
	var all bitmap // items that may have every token
	from := 0
	for i, end := range ends {
		words, grams := ps[from].found, ps[from+1:end]
		from = end
		for k := 1; k < len(grams); k++ {
			grams[0].found.and(grams[k].found)
		}
		if n.single {
			s.yes.or(words)
			switch {
			case len(grams) == 1:
				s.yes.or(grams[0].found)
			case len(grams) > 1:
				s.maybe.or(grams[0].found)
			}
			return
		}
		if len(grams) > 0 {
			words.or(grams[0].found)
		}
		if i == 0 {
			all = words
		} else {
			all.and(words)
		}
	}
	s.maybe.or(all)
}

// lookUp goes through the dictionary of a field once for all patterns.
func lookUp(ctx context.Context, r *run, f Field, ps []pattern) error {
	want := make([]bool, len(ps))
	var e entry
	return r.eachBlock(ctx, f, func(b *block) error {
		any := false
		for i := range ps {
			want[i] = bytes.Contains(b.text, ps[i].text)
			any = any || want[i]
		}
		if !any {
			return nil
		}
		for {
			more, err := b.next(&e, len(r.table.docs))
			if err != nil || !more {
				return err
			}
			for i := range ps {
				if !want[i] || !ps[i].matches(e.term) {
					continue
				}
				found := ps[i].found
				if err := r.postings(ctx, &e, func(p posting) { found.set(p.doc) }); err != nil {
					return err
				}
			}
		}
	})
}
