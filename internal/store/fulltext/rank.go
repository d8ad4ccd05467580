package fulltext

import (
	"bytes"
	"context"
	"math"
	"strings"
)

// plan is a query made ready.
type plan struct {
	op     Op
	subs   []*plan
	leaf   *leafPlan // of a leaf; nil if its text has no words
	leaves []*leafPlan
	blank  bool // there are no words in it: it says nothing about items
}

// leafPlan is what one leaf looks for: all of its words in one field.
type leafPlan struct {
	fields []Field
	words  []wordPlan
	phrase bool // the words have to stand side by side
	with   int  // items of all runs that have it
}

// wordPlan is a word of a leaf.
type wordPlan struct {
	stem   *stemMatch // inflections
	prefix string     // words that begin with it
	exact  string
	grams  [][]byte // pieces, of what is kept in pieces
}

// everywhere are the fields of a leaf that names none.
func everywhere() []Field { return []Field{Subject, From, To, Cc, Bcc, Body, Attachment} }

// fieldWeight is how much more a word says in a field.
func fieldWeight(f Field) float32 {
	switch f {
	case Subject:
		return 3
	case From, To, Cc, Bcc:
		return 1.5
	case Attachment:
		return 0.7
	}
	return 1
}

// newPlan prepares a query. root gathers the leaves.
func newPlan(q *Query, languages []string, root *plan, depth int) *plan {
	p := &plan{op: q.Op}
	if root == nil {
		root = p
	}
	if q.Op == And || q.Op == Or || q.Op == Not {
		p.blank = depth < maxNested // what is too deep finds nothing
		for i := range q.Subs {
			if depth == maxNested || q.Op == Not && i > 0 {
				break
			}
			if sub := newPlan(&q.Subs[i], languages, root, depth+1); !sub.blank {
				p.subs, p.blank = append(p.subs, sub), false
			}
		}
		return p
	}
	words := plainWords(q.Text)
	if p.blank = len(words) == 0; p.blank || len(root.leaves) >= maxLeaves {
		return p
	}
	p.leaf = &leafPlan{fields: everywhere(), phrase: len(words) > 1}
	if q.Field != 0 {
		p.leaf.fields = []Field{q.Field}
	}
	for i, w := range words {
		wp := wordPlan{grams: w.pieces()}
		text := string(w.text)
		switch {
		case q.Op == Prefix && i == len(words)-1:
			wp.prefix, wp.grams = text, nil
		case q.Op == Word && len(words) == 1:
			wp.stem = newStemMatch(text, languages)
		default:
			wp.exact = text
		}
		p.leaf.words = append(p.leaf.words, wp)
	}
	root.leaves = append(root.leaves, p.leaf)
	return p
}

// plainWords cuts text into its words, folded.
func plainWords(text string) (out []token) {
	n := newNeedleTokens(text)
	for i := range n {
		n[i].left, n[i].right = false, false
	}
	return n
}

// pieces returns the pieces of a word that is not in dictionaries as a whole.
func (t *token) pieces() [][]byte {
	number := t.text[0] >= '0' && t.text[0] <= '9'
	if t.dense || len(t.text) > maxWord || number && len(t.text) > maxNumber {
		return t.grams
	}
	return nil
}

// weight is how well a term fits the word.
func (w *wordPlan) weight(term []byte) float32 {
	switch {
	case term[0] <= oddTerm:
		return 0
	case w.stem != nil:
		if len(term) < len(w.stem.first) || string(term[:len(w.stem.first)]) != w.stem.first {
			return 0
		}
		return w.stem.weight(string(term))
	case w.prefix != "":
		if len(term) == len(w.prefix) && string(term) == w.prefix {
			return 1
		}
		if strings.HasPrefix(string(term), w.prefix) {
			return prefixed
		}
		return 0
	case string(term) == w.exact:
		return 1
	}
	return 0
}

// mayHold reports whether a block can have a term that fits.
func (w *wordPlan) mayHold(text []byte) bool {
	switch {
	case w.stem != nil && len(w.stem.stems) == 0:
		return begins(text, w.stem.word)
	case w.stem != nil:
		return begins(text, w.stem.first)
	case w.prefix != "":
		return begins(text, w.prefix)
	}
	return begins(text, w.exact)
}

// begins reports whether a word of a block begins with p.
func begins(text []byte, p string) bool {
	return len(text) >= len(p) && string(text[:len(p)]) == p || bytes.Contains(text, []byte("\x00"+p))
}

// tally is how often the items of a run have a leaf, weighted; 0: not at all.
type tally []float32

// count tallies one leaf in one run.
func (l *leafPlan) count(ctx context.Context, r *run) (tally, error) {
	docs := len(r.table.docs)
	out := make(tally, docs)
	for _, f := range l.fields {
		var all tally
		for i := range l.words {
			one, err := l.words[i].count(ctx, r, f)
			if err != nil {
				return nil, err
			}
			if all == nil {
				all = one
				continue
			}
			for d := range all {
				all[d] = min(all[d], one[d])
			}
		}
		w := fieldWeight(f)
		for d, n := range all {
			out[d] += n * w
		}
	}
	return out, nil
}

// count tallies a word in one field.
func (w *wordPlan) count(ctx context.Context, r *run, f Field) (tally, error) {
	out := make(tally, len(r.table.docs))
	if w.grams != nil {
		ps := make([]pattern, len(w.grams))
		for i, g := range w.grams {
			ps[i] = pattern{text: g, gram: true, found: newBitmap(len(out))}
		}
		if err := lookUp(ctx, r, f, ps); err != nil {
			return nil, err
		}
		for i := 1; i < len(ps); i++ {
			ps[0].found.and(ps[i].found)
		}
		ps[0].found.each(func(d uint32) { out[d] = 1 })
		return out, nil
	}
	var e entry
	return out, r.eachBlock(ctx, f, func(b *block) error {
		if !w.mayHold(b.text) {
			return nil
		}
		for {
			more, err := b.next(&e, len(out))
			if err != nil || !more {
				return err
			}
			weight := w.weight(e.term)
			if weight == 0 {
				continue
			}
			err = r.postings(ctx, &e, func(p posting) { out[p.doc] += weight * float32(p.n) })
			if err != nil {
				return err
			}
		}
	})
}

// Parameters of the ranking (Okapi BM25).
const (
	bm25K = 1.2
	bm25B = 0.75
)

// score turns a tally into scores: rare words in short items count more.
func (l *leafPlan) score(t tally, table *docTable, items int) []float64 {
	idf := math.Log(1 + (float64(items)-float64(l.with)+0.5)/(float64(l.with)+0.5))
	out := make([]float64, len(t))
	for d, n := range t {
		if n == 0 {
			continue
		}
		tf := float64(n)
		length := 1 - bm25B + bm25B*float64(table.docs[d].words)/table.average
		out[d] = idf * tf * (bm25K + 1) / (tf + bm25K*length)
	}
	return out
}

// eval returns which items of a run match and how well.
func (p *plan) eval(tallies map[*leafPlan]tally, table *docTable, items int) (bitmap, []float64) {
	n := len(table.docs)
	found, score := newBitmap(n), make([]float64, n)
	switch p.op {
	case Not:
		if len(p.subs) == 0 {
			return found, score
		}
		not, _ := p.subs[0].eval(tallies, table, items)
		for d := range uint32(n) {
			if !not.has(d) {
				found.set(d)
			}
		}
	case And, Or:
		for i, sub := range p.subs {
			f, s := sub.eval(tallies, table, items)
			if i == 0 || p.op == Or {
				found.or(f)
			} else {
				found.and(f)
			}
			for d := range s {
				score[d] += s[d]
			}
		}
	default:
		if p.leaf == nil {
			return found, score
		}
		t := tallies[p.leaf]
		for d, c := range t {
			if c > 0 {
				found.set(uint32(d))
			}
		}
		score = p.leaf.score(t, table, items)
	}
	return found, score
}
