package org

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"rialto/internal/model"
)

// template is one value of gatewayProxy: what addresses of a type look like,
// such as "SMTP:%g.%s@contoso.test".
type template struct {
	typ     string // upper case: SMTP, X400
	primary bool   // the type was in upper case
	text    string // after the colon
}

func parseTemplate(s string) (t template, ok bool) {
	typ, text, ok := strings.Cut(s, ":")
	if !ok || typ == "" || text == "" || len(s) > 1123 {
		return t, false
	}
	t = template{typ: strings.ToUpper(typ), primary: typ == strings.ToUpper(typ), text: text}
	if t.typ == "SMTP" {
		_, err := model.ParseAddress("x@" + t.domain())
		return t, err == nil
	}
	return t, true
}

// domain returns what follows the last "@" of an SMTP template, lower case.
func (t template) domain() string {
	return strings.ToLower(t.text[strings.LastIndexByte(t.text, '@')+1:])
}

// names are what the placeholders of a template stand for.
type names struct {
	alias, given, initials, surname, display string
	spare                                    []string // tried where nothing usable comes out
}

// maxLocal is the length of a local part without a numeral that makes it
// unique (RFC 5321 4.5.3.1.1 allows 64).
const maxLocal = 58

// local expands the user part of an SMTP template. What RFC 5321 does not allow
// unquoted is dropped. The result is never empty.
func (t template) local(n names) string {
	user := ""
	if i := strings.LastIndexByte(t.text, '@'); i > 0 {
		user = t.text[:i]
	}
	if user == "" {
		user = "%m"
	}
	for _, s := range append([]string{expand(user, n), n.alias}, n.spare...) {
		if l := clean(s); l != "" {
			return l
		}
	}
	return "recipient"
}

// expand replaces the placeholders: %m alias, %g given name, %i initials, %s
// surname, %d display name, %% a percent sign, a number before the letter for
// the most characters taken, and %rxy, from which on x in what is filled in
// becomes y, or nothing where y is x.
func expand(text string, n names) string {
	var out strings.Builder
	swap := map[rune]rune{}
	in := []rune(text)
	for i := 0; i < len(in); i++ {
		if in[i] != '%' || i+1 == len(in) {
			out.WriteRune(in[i])
			continue
		}
		i++
		limit := -1
		for ; i+1 < len(in) && in[i] >= '0' && in[i] <= '9'; i++ {
			limit = min(max(limit, 0)*10+int(in[i]-'0'), 9999)
		}
		switch in[i] {
		case '%':
			out.WriteByte('%')
		case 'r':
			if i+2 < len(in) {
				swap[in[i+1]] = in[i+2]
				i += 2
			}
		case 'm', 'g', 'i', 's', 'd':
			v := map[rune]string{'m': n.alias, 'g': n.given, 'i': n.initials, 's': n.surname, 'd': n.display}[in[i]]
			out.WriteString(take(replaced(v, swap), limit))
		}
	}
	return out.String()
}

func replaced(v string, swap map[rune]rune) string {
	return strings.Map(func(r rune) rune {
		to, ok := swap[r]
		switch {
		case !ok:
			return r
		case to == r:
			return -1
		}
		return to
	}, v)
}

// take returns the first n characters, all for n below zero.
func take(s string, n int) string {
	if n < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// clean keeps what an unquoted local part may hold (RFC 5321 4.1.2), in ASCII,
// with single dots inside only.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x80 && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			return r
		}
		return -1
	}, s)
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '.' }), ".")
	return strings.TrimRight(s[:min(len(s), maxLocal)], ".")
}

// address returns the n-th choice (1 is the first) of what the template makes.
func (t template) address(n names, choice int) string {
	num := ""
	if choice > 1 {
		num = strconv.Itoa(choice)
	}
	if t.typ == "SMTP" {
		return t.local(n) + num + "@" + t.domain()
	}
	out := strings.TrimRight(t.text, ";") + ";"
	surname := printable(n.surname, 40-len(num))
	if surname == "" {
		surname = printable(t.local(n), 40-len(num))
	}
	out += "s=" + surname + num + ";"
	if g := printable(n.given, 16); g != "" {
		out += "g=" + g + ";"
	}
	if i := printable(n.initials, 5); i != "" {
		out += "i=" + i + ";"
	}
	return out
}

// printable keeps the PrintableString of X.400 names.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x80 && strings.ContainsRune(" '()+,-.:?", r) {
			return r
		}
		return -1
	}, s)
	return strings.TrimSpace(s[:min(len(s), most)])
}

// makes reports whether addr (without its type) is one that the template may
// have given to the names, with or without a numeral.
func (t template) makes(n names, addr string) bool {
	if t.typ != "SMTP" {
		return strings.HasPrefix(strings.ToLower(addr), strings.ToLower(strings.TrimRight(t.text, ";")+";"))
	}
	at := strings.LastIndexByte(addr, '@')
	local := t.local(n)
	if at < len(local) || !strings.EqualFold(addr[at+1:], t.domain()) || !strings.EqualFold(addr[:len(local)], local) {
		return false
	}
	num := addr[len(local):at]
	_, err := strconv.ParseUint(num, 10, 16)
	return num == "" || err == nil
}
