package imap

import (
	"strings"
	"time"
)

// SearchReturn is a set of result options of ESEARCH (RFC 9051 6.4.4).
type SearchReturn uint8

// The result options.
const (
	ReturnMin SearchReturn = 1 << iota
	ReturnMax
	ReturnAll
	ReturnCount
	ReturnSave
)

// Search is the arguments of SEARCH and UID SEARCH.
type Search struct {
	Extended bool         // RETURN was given: the answer is ESEARCH
	Return   SearchReturn // ReturnAll for RETURN ()
	Charset  string       // upper case; empty if not given
	Key      SearchKey    // an And of the keys of the command
}

// SearchOp is what a search key compares.
type SearchOp uint8

// The search keys. Negated flags (UNSEEN) are Not of the flag.
const (
	SearchAnd    SearchOp = iota // Keys
	SearchOr                     // two Keys
	SearchNot                    // one Key
	SearchAll                    // everything
	SearchSeq                    // Set, of sequence numbers
	SearchUID                    // Set, of UIDs
	SearchFlag                   // Name is the flag: \Seen or a keyword
	SearchRecent                 // \Recent
	SearchHeader                 // Name contains Text; empty Text: the field exists
	SearchBody                   // Text
	SearchText                   // Text, in header or body
	SearchBefore                 // Date, of the internal date
	SearchOn
	SearchSince
	SearchSentBefore // Date, of the Date field
	SearchSentOn
	SearchSentSince
	SearchLarger  // Num bytes
	SearchSmaller // Num bytes
	SearchOlder   // Num seconds (RFC 5032)
	SearchYounger
	SearchModSeq   // Num
	SearchEmailID  // Text
	SearchThreadID // Text
)

// SearchKey is a node of the search program. Texts are in the command's charset.
type SearchKey struct {
	Op   SearchOp
	Keys []SearchKey
	Name string
	Text string
	Date time.Time // midnight UTC
	Num  uint64
	Set  SeqSet
}

// ReadSearch reads SEARCH or UID SEARCH.
func ReadSearch(r *Reader) (s Search, err error) {
	if err = r.SP(); err != nil {
		return s, err
	}
	p := searchParser{r: r}
	word := p.keyword()
	if word == "RETURN" {
		if err = s.returns(r); err != nil {
			return s, err
		}
		if err = r.SP(); err != nil {
			return s, err
		}
		word = p.keyword()
	}
	if word == "CHARSET" {
		if err = r.SP(); err != nil {
			return s, err
		}
		if s.Charset, err = r.AString(); err != nil {
			return s, err
		}
		s.Charset = upper(s.Charset)
		if err = r.SP(); err != nil {
			return s, err
		}
		word = p.keyword()
	}
	for {
		k, err := p.key(word, 0)
		if err != nil {
			return s, err
		}
		s.Key.Keys = append(s.Key.Keys, k)
		if !r.Byte(' ') || r.Peek() == 0 {
			return s, r.End()
		}
		word = p.keyword()
	}
}

func (s *Search) returns(r *Reader) error {
	s.Extended = true
	if err := r.SP(); err != nil {
		return err
	}
	err := r.List(func() error {
		switch k, _ := r.Keyword(); k {
		case "MIN":
			s.Return |= ReturnMin
		case "MAX":
			s.Return |= ReturnMax
		case "ALL":
			s.Return |= ReturnAll
		case "COUNT":
			s.Return |= ReturnCount
		case "SAVE":
			s.Return |= ReturnSave
		default:
			return syntax("Unknown result option")
		}
		return nil
	})
	if s.Return == 0 {
		s.Return = ReturnAll
	}
	return err
}

type searchParser struct {
	r    *Reader
	keys int
}

// keyword reads the letters a key begins with; "" for a set or a parenthesis.
func (p *searchParser) keyword() string {
	if c := p.r.Peek(); c == '(' || c == '*' || c == '$' || isDigit(c) {
		return ""
	}
	return upper(p.r.run(isAtomChar))
}

// next reads a space and a key.
func (p *searchParser) next(depth int) (SearchKey, error) {
	if err := p.r.SP(); err != nil {
		return SearchKey{}, err
	}
	return p.key(p.keyword(), depth)
}

// key reads the key that word begins.
func (p *searchParser) key(word string, depth int) (k SearchKey, err error) {
	if p.keys++; depth > maxSearchDepth || p.keys > maxSearchKeys {
		return k, syntax("Search too complex")
	}
	r := p.r
	switch word {
	case "":
		return p.group(depth)
	case "NOT":
		sub, err := p.next(depth + 1)
		return SearchKey{Op: SearchNot, Keys: []SearchKey{sub}}, err
	case "OR":
		a, err := p.next(depth + 1)
		if err != nil {
			return k, err
		}
		b, err := p.next(depth + 1)
		return SearchKey{Op: SearchOr, Keys: []SearchKey{a, b}}, err
	case "UID":
		if err = r.SP(); err == nil {
			k.Op = SearchUID
			k.Set, err = r.SeqSet()
		}
		return k, err
	case "MODSEQ":
		return p.modSeq()
	case "HEADER":
		k.Op = SearchHeader
		if k.Name, err = p.text(); err == nil {
			k.Text, err = p.text()
		}
		return k, err
	case "KEYWORD", "UNKEYWORD":
		if err = r.SP(); err != nil {
			return k, err
		}
		flag, err := r.Flag()
		return negateIf(word == "UNKEYWORD", SearchKey{Op: SearchFlag, Name: flag}), err
	}
	if k, ok := simpleKey(word); ok {
		return k, nil
	}
	return p.argument(word)
}

// group reads a parenthesised list of keys or a sequence-set.
func (p *searchParser) group(depth int) (k SearchKey, err error) {
	if p.r.Peek() != '(' {
		k.Op = SearchSeq
		k.Set, err = p.r.SeqSet()
		return k, err
	}
	err = p.r.List(func() error {
		sub, err := p.key(p.keyword(), depth+1)
		k.Keys = append(k.Keys, sub)
		return err
	})
	if err == nil && len(k.Keys) == 0 {
		err = syntax("Empty search key")
	}
	return k, err
}

// modSeq reads MODSEQ with the optional entry of RFC 7162 3.1.5, which changes
// nothing here: all flags share one number.
func (p *searchParser) modSeq() (k SearchKey, err error) {
	k.Op = SearchModSeq
	if err = p.r.SP(); err != nil {
		return k, err
	}
	if p.r.Peek() == '"' {
		if _, err = p.r.String(); err != nil {
			return k, err
		}
		if err = p.r.SP(); err != nil {
			return k, err
		}
		if _, err = p.r.Keyword(); err != nil {
			return k, err
		}
		if err = p.r.SP(); err != nil {
			return k, err
		}
	}
	k.Num, err = p.r.Number()
	return k, err
}

func (p *searchParser) text() (string, error) {
	if err := p.r.SP(); err != nil {
		return "", err
	}
	return p.r.AString()
}

func negateIf(not bool, k SearchKey) SearchKey {
	if not {
		return SearchKey{Op: SearchNot, Keys: []SearchKey{k}}
	}
	return k
}

// simpleKey returns the key of a word without arguments.
func simpleKey(word string) (SearchKey, bool) {
	switch word {
	case "ALL":
		return SearchKey{Op: SearchAll}, true
	case "RECENT":
		return SearchKey{Op: SearchRecent}, true
	case "OLD":
		return negateIf(true, SearchKey{Op: SearchRecent}), true
	case "NEW":
		return SearchKey{Keys: []SearchKey{{Op: SearchRecent},
			negateIf(true, SearchKey{Op: SearchFlag, Name: `\Seen`})}}, true
	}
	base, not := strings.CutPrefix(word, "UN")
	for _, f := range [...]string{`\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`} {
		if strings.EqualFold(f[1:], base) {
			return negateIf(not, SearchKey{Op: SearchFlag, Name: f}), true
		}
	}
	return SearchKey{}, false
}

// argument reads a key with one argument.
func (p *searchParser) argument(word string) (k SearchKey, err error) {
	switch word {
	case "FROM", "TO", "CC", "BCC", "SUBJECT":
		k.Op, k.Name = SearchHeader, word
		k.Text, err = p.text()
		if err == nil && k.Text == "" { // any message contains nothing
			k = SearchKey{Op: SearchAll}
		}
		return k, err
	}
	ops := [...]struct {
		word string
		op   SearchOp
	}{{"BODY", SearchBody}, {"TEXT", SearchText}, {"EMAILID", SearchEmailID}, {"THREADID", SearchThreadID},
		{"BEFORE", SearchBefore}, {"ON", SearchOn}, {"SINCE", SearchSince}, {"SENTBEFORE", SearchSentBefore},
		{"SENTON", SearchSentOn}, {"SENTSINCE", SearchSentSince}, {"LARGER", SearchLarger},
		{"SMALLER", SearchSmaller}, {"OLDER", SearchOlder}, {"YOUNGER", SearchYounger}}
	for _, o := range ops {
		if o.word != word {
			continue
		}
		k.Op = o.op
		switch {
		case o.op == SearchBody || o.op == SearchText || o.op == SearchEmailID || o.op == SearchThreadID:
			k.Text, err = p.text()
		case o.op >= SearchLarger:
			if err = p.r.SP(); err == nil {
				k.Num, err = p.r.Number()
			}
		default:
			if err = p.r.SP(); err == nil {
				k.Date, err = p.r.Date()
			}
		}
		return k, err
	}
	return k, syntax("Unknown search key")
}
