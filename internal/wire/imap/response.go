package imap

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"rialto/internal/model"
)

// ValueKind is the form of a Value.
type ValueKind uint8

// The forms of a Value.
const (
	Atom ValueKind = iota // also numbers, flags and labels: BODY[1.HEADER]<0>
	Text                  // a quoted string or literal
	Nil
	Parens
)

// Value is a token of a response, or a list of them.
type Value struct {
	Kind ValueKind
	Str  string
	List []Value
}

// Num returns the number an atom says, 0 if it says none.
func (v Value) Num() uint64 {
	n, _ := strconv.ParseUint(v.Str, 10, 64) // 0 on error, as documented
	return n
}

// Get returns what follows the atom key, compared without case, in a list of
// pairs such as the data of FETCH or STATUS.
func (v Value) Get(key string) (Value, bool) {
	for i := 0; i+1 < len(v.List); i += 2 {
		if strings.EqualFold(v.List[i].Str, key) {
			return v.List[i+1], true
		}
	}
	return Value{}, false
}

// String returns the value in wire form, all strings quoted.
func (v Value) String() string {
	switch v.Kind {
	case Text:
		return string(appendQuoted(nil, v.Str))
	case Nil:
		return "NIL"
	case Parens:
		parts := make([]string, len(v.List))
		for i, e := range v.List {
			parts[i] = e.String()
		}
		return "(" + strings.Join(parts, " ") + ")"
	}
	return v.Str
}

// Response is one response of a server.
type Response struct {
	Tag  string // "*", "+" or a command's tag
	Cond string // OK, NO, BAD, BYE or PREAUTH; empty for data
	Code string // what stood in brackets: "UIDNEXT 5"
	Text string // for people, or the rest of a continuation
	Data []Value
}

// Name returns the name of a data response in upper case: EXISTS for "* 3
// EXISTS", FETCH for "* 3 FETCH (…)".
func (r *Response) Name() string {
	for i, v := range r.Data {
		if i > 1 || v.Kind != Atom {
			break
		}
		if _, err := strconv.ParseUint(v.Str, 10, 64); err != nil {
			return upper(v.Str)
		}
	}
	return ""
}

// limits of what a server may make the client hold
const (
	maxResponseDepth = 200 // BODYSTRUCTURE of a message as deep as message.MaxDepth needs as many and a few
	maxResponse      = 256 << 20
	maxResponseItems = 1 << 20
)

// responseReader parses responses.
type responseReader struct {
	br    *bufio.Reader
	left  int64
	items int
}

func badResponse(what string) error {
	return model.E("imap.client", model.KindInvalid, what, nil)
}

// read reads one response.
func (p *responseReader) read() (*Response, error) {
	p.left, p.items = maxResponse, 0
	tag, err := p.word(" \r")
	if err != nil {
		return nil, err
	}
	if tag == "" {
		return nil, badResponse("response without tag")
	}
	r := &Response{Tag: tag}
	if tag == "+" {
		r.Text, err = p.restOfLine()
		return r, err
	}
	if c, err := p.peek(); err != nil || c != ' ' {
		return nil, badResponse("response without space")
	}
	p.br.Discard(1) // the byte was peeked
	first, err := p.value(0)
	if err != nil {
		return nil, err
	}
	switch cond := upper(first.Str); {
	case first.Kind == Atom && (cond == "OK" || cond == "NO" || cond == "BAD" || cond == "BYE" || cond == "PREAUTH"):
		r.Cond = cond
		r.Text, err = p.restOfLine()
		if rest, ok := strings.CutPrefix(r.Text, "["); ok {
			if i := codeEnd(rest); i >= 0 {
				r.Code, r.Text = rest[:i], strings.TrimPrefix(rest[i+1:], " ")
			}
		}
		return r, err
	}
	r.Data = []Value{first}
	for {
		c, err := p.peek()
		if err != nil {
			return nil, err
		}
		if c == '\r' || c == '\n' {
			_, err := p.restOfLine()
			return r, err
		}
		if c == ' ' {
			p.br.Discard(1)
			continue
		}
		v, err := p.value(0)
		if err != nil {
			return nil, err
		}
		r.Data = append(r.Data, v)
	}
}

// codeEnd finds the bracket that ends a response code.
func codeEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ']' && !quoted:
			return i
		}
	}
	return -1
}

func (p *responseReader) peek() (byte, error) {
	b, err := p.br.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (p *responseReader) next() (byte, error) {
	if p.left--; p.left < 0 {
		return 0, badResponse("response too large")
	}
	return p.br.ReadByte()
}

// word reads up to one of the bytes of stop, which is left.
func (p *responseReader) word(stop string) (string, error) {
	var b []byte
	for {
		c, err := p.peek()
		if err != nil {
			return "", err
		}
		if strings.IndexByte(stop, c) >= 0 || c == '\n' {
			return string(b), nil
		}
		if _, err := p.next(); err != nil {
			return "", err
		}
		b = append(b, c)
	}
}

func (p *responseReader) restOfLine() (string, error) {
	s, err := p.word("\n")
	if err != nil {
		return "", err
	}
	p.br.Discard(1)
	return strings.TrimPrefix(strings.TrimSuffix(s, "\r"), " "), nil
}

func (p *responseReader) value(depth int) (Value, error) {
	if p.items++; p.items > maxResponseItems || depth > maxResponseDepth {
		return Value{}, badResponse("response too complex")
	}
	c, err := p.peek()
	if err != nil {
		return Value{}, err
	}
	switch c {
	case '(':
		p.br.Discard(1)
		return p.list(depth)
	case '"':
		p.br.Discard(1)
		s, err := p.quoted()
		return Value{Kind: Text, Str: s}, err
	case '{', '~':
		return p.literal()
	}
	s, err := p.atom()
	if err == nil && s == "" {
		err = badResponse("unexpected byte")
	}
	if upper(s) == "NIL" {
		return Value{Kind: Nil}, err
	}
	return Value{Kind: Atom, Str: s}, err
}

func (p *responseReader) list(depth int) (Value, error) {
	v := Value{Kind: Parens}
	for {
		c, err := p.peek()
		if err != nil {
			return v, err
		}
		switch c {
		case ')':
			p.br.Discard(1)
			return v, nil
		case ' ':
			if _, err := p.next(); err != nil {
				return v, err
			}
			continue
		}
		e, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.List = append(v.List, e)
	}
}

func (p *responseReader) quoted() (string, error) {
	var b []byte
	for {
		c, err := p.next()
		if err != nil {
			return "", err
		}
		switch c {
		case '"':
			return string(b), nil
		case '\\':
			if c, err = p.next(); err != nil {
				return "", err
			}
		case '\r', '\n':
			return "", badResponse("newline in quotes")
		}
		b = append(b, c)
	}
}

func (p *responseReader) literal() (Value, error) {
	head, err := p.word("\r")
	if err != nil {
		return Value{}, err
	}
	l := literalAtEnd([]byte(head))
	if l == nil || l.Size > p.left {
		return Value{}, badResponse("bad literal")
	}
	if _, err := p.restOfLine(); err != nil {
		return Value{}, err
	}
	p.left -= l.Size
	var b strings.Builder
	n, err := io.CopyN(&b, p.br, l.Size) // grows as bytes come, not as announced
	if err == io.EOF && n < l.Size {
		err = io.ErrUnexpectedEOF
	}
	return Value{Kind: Text, Str: b.String()}, err
}

// atom reads an atom; within brackets everything belongs to it.
func (p *responseReader) atom() (string, error) {
	var b []byte
	depth := 0
	for {
		c, err := p.peek()
		if err != nil {
			return "", err
		}
		if c == '\r' || c == '\n' || depth == 0 && (c == ' ' || c == '(' || c == ')' || c == '"') {
			return string(b), nil
		}
		switch c {
		case '[':
			depth++
		case ']':
			depth = max(0, depth-1)
		}
		if _, err := p.next(); err != nil {
			return "", err
		}
		b = append(b, c)
	}
}
