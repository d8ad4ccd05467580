package message

import "strings"

// AddressKind tells the members of an address list apart.
type AddressKind uint8

// The kinds of Address.
const (
	Mailbox    AddressKind = iota
	GroupStart             // Local is the group's name
	GroupEnd
)

// Address is one element of an address list as written: encoded words are kept.
type Address struct {
	Kind  AddressKind
	Name  string // display name, or a comment that stands for it; unquoted
	Route string // obsolete source route: "@a,@b"
	Local string // unquoted
	Host  string // empty for a mailbox without a domain
}

// DisplayName returns the decoded name in UTF-8.
func (a Address) DisplayName() string { return DecodeText(a.Name) }

// Addr returns local@host, unquoted; only Local where there is no host.
func (a Address) Addr() string {
	if a.Host == "" {
		return a.Local
	}
	return a.Local + "@" + a.Host
}

// ParseAddresses reads an address list (RFC 5322 3.4 and 4.4). It takes
// whatever is there: missing brackets, commas, domains and end quotes.
func ParseAddresses(v string) []Address {
	room := MaxAddresses
	return appendAddresses(nil, v, &room)
}

// addressScanner holds the state of one list.
type addressScanner struct {
	s       string
	out     []Address
	inGroup bool

	from, to int    // extent of the text before a bracket: s[from:to]
	comment  string // last comment seen
	angle    string // text within brackets
	hasAngle bool
	stray    bool // a quote is not closed: quotes are plain characters from there on
}

// appendAddresses appends the addresses in v to out, at most *room of them, and
// takes their number off it. A group that is cut is closed all the same.
func appendAddresses(out []Address, v string, room *int) []Address {
	a := addressScanner{s: v, out: out}
	a.from = -1
	limit := len(out) + *room
	for i := 0; i < len(v) && len(a.out) < limit; {
		i = a.step(i)
	}
	if len(a.out) < limit {
		a.flush()
	}
	if a.inGroup {
		a.out = append(a.out, Address{Kind: GroupEnd})
	}
	*room = max(0, *room-(len(a.out)-len(out)))
	return a.out
}

// step handles what is at i and returns the offset behind it.
func (a *addressScanner) step(i int) int {
	s := a.s
	switch c := s[i]; c {
	case ',', ';':
		a.flush()
		if c == ';' && a.inGroup {
			a.out = append(a.out, Address{Kind: GroupEnd})
			a.inGroup = false
		}
		return i + 1
	case ' ', '\t', '\r', '\n':
		return i + 1
	case '(':
		n := commentEnd(s[i:])
		a.comment = strings.TrimSuffix(s[i+1:i+n], ")")
		return i + n
	case '<':
		n := angleEnd(s[i:])
		if !a.hasAngle {
			a.angle, a.hasAngle = strings.TrimSuffix(s[i+1:i+n], ">"), true
		}
		return i + n
	case '"':
		if n := quotedEnd(s[i:]); !a.stray && s[i+n-1] == '"' && n > 1 {
			a.extend(i, i+n)
			return i + n
		}
		a.stray = true
	case ':':
		if !a.inGroup && !a.hasAngle && a.from >= 0 && strings.IndexByte(s[a.from:a.to], '@') < 0 {
			a.out = append(a.out, Address{Kind: GroupStart, Local: phrase(s[a.from:a.to])})
			a.inGroup = true
			a.clear()
			return i + 1
		}
	}
	a.extend(i, i+1)
	return i + 1
}

func (a *addressScanner) extend(from, to int) {
	if a.hasAngle {
		return // text after the brackets means nothing
	}
	if a.from < 0 {
		a.from = from
	}
	a.to = to
}

func (a *addressScanner) clear() {
	a.from, a.to, a.comment, a.angle, a.hasAngle = -1, 0, "", "", false
}

// flush adds the element read so far.
func (a *addressScanner) flush() {
	text := ""
	if a.from >= 0 {
		text = a.s[a.from:a.to]
	}
	switch {
	case a.hasAngle:
		ad := Address{Name: phrase(text)}
		if ad.Name == "" {
			ad.Name = commentText(a.comment)
		}
		ad.setSpec(a.angle)
		if ad.Local != "" || ad.Host != "" || ad.Name != "" {
			a.out = append(a.out, ad)
		}
	case text != "":
		a.out = append(a.out, bareAddress(text, a.comment))
	}
	a.clear()
}

// bareAddress reads an address without brackets: "a@b (Name)", "a@b", "Name
// a@b", "root".
func bareAddress(text, comment string) Address {
	text = stripComments(text)
	ad := Address{Name: commentText(comment)}
	at := lastAt(text)
	if at < 0 {
		ad.Local = phrase(text)
		return ad
	}
	local := strings.TrimRight(text[:at], " \t\r\n")
	if i := strings.LastIndexAny(local, " \t\n"); i >= 0 && !strings.HasSuffix(local, `"`) {
		// "Name a@b" has a name; "a . b@c" is one local part (RFC 5322 4.4).
		if head := strings.TrimRight(local[:i], " \t\r\n"); head != "" &&
			!strings.HasSuffix(head, ".") && !strings.HasPrefix(local[i+1:], ".") {
			ad.Name = phrase(head)
			text = text[i+1:]
		}
	}
	ad.setSpec(text)
	return ad
}

// setSpec reads [route:]local@domain.
func (ad *Address) setSpec(spec string) {
	spec = strings.Trim(stripComments(spec), " \t\r\n")
	if strings.HasPrefix(spec, "@") {
		if i := strings.IndexByte(spec, ':'); i >= 0 {
			ad.Route, spec = spec[:i], spec[i+1:]
		}
	}
	at := lastAt(spec)
	if at < 0 {
		ad.Local = phrase(spec)
		return
	}
	ad.Local = noSpace(spec[:at])
	ad.Host = noSpace(spec[at+1:])
}

// commentText returns what a comment says; comments within it stay.
func commentText(s string) string {
	if s == "" {
		return ""
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(s, `\`, "")), " ")
}

// lastAt finds the last @ outside of quotes.
func lastAt(s string) int {
	if strings.IndexByte(s, '"') < 0 {
		return strings.LastIndexByte(s, '@')
	}
	at := -1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quotedEnd(s[i:]) - 1
		case '@':
			at = i
		}
	}
	return at
}

// angleEnd returns the length of the bracketed address s begins with. A comma
// after an @ ends one that is not closed.
func angleEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += quotedEnd(s[i:]) - 1
		case '>':
			return i + 1
		case '<':
			return i
		}
	}
	return len(s)
}

// quotedEnd returns the length of the quoted string s begins with.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// stripComments removes comments outside quotes; s itself if it has none.
func stripComments(s string) string {
	if strings.IndexByte(s, '(') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		n := 1
		switch s[i] {
		case '(':
			i += commentEnd(s[i:])
			continue
		case '"':
			n = quotedEnd(s[i:])
		}
		b = append(b, s[i:i+n]...)
		i += n
	}
	return string(b)
}

// phrase unquotes words and joins them with single spaces. A text that has
// neither quotes nor folding is returned as it is.
func phrase(s string) string {
	s = strings.Trim(s, " \t\r\n")
	if len(s) >= 2 && s[0] == '"' && quotedEnd(s) == len(s) && s[len(s)-1] == '"' && !strings.ContainsAny(s, "\\\n") {
		return s[1 : len(s)-1]
	}
	if !strings.ContainsAny(s, "\"\\\t\r\n(") && !strings.Contains(s, "  ") {
		return s
	}
	return unquote(s, true)
}

// noSpace unquotes and removes white space outside of quotes.
func noSpace(s string) string {
	if !strings.ContainsAny(s, "\"\\ \t\r\n") {
		return s
	}
	return unquote(s, false)
}

// unquote removes quotes, backslashes, comments and newlines; a run of white
// space becomes one space, or none.
func unquote(s string, keepSpace bool) string {
	b := make([]byte, 0, len(s))
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case c == '\r' || c == '\n':
		case c == '(' && !quoted && keepSpace:
			i += commentEnd(s[i:]) - 1
		case (c == ' ' || c == '\t') && !quoted:
			if keepSpace && len(b) > 0 && b[len(b)-1] != ' ' {
				b = append(b, ' ')
			}
		default:
			b = append(b, c)
		}
	}
	return strings.TrimRight(string(b), " ")
}
