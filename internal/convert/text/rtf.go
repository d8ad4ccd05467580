package text

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// maxGroups is how deep groups may nest; what is deeper is not text.
const maxGroups = 200

// rtfReader takes the text out of Rich Text Format (version 1.9.1).
type rtfReader struct {
	out    *limited
	in     []byte
	groups []rtfGroup
	state  rtfGroup
	deep   int // groups beyond maxGroups
	skip   int // characters still to be left out after \u
	high   rune
	enc    encoding.Encoding
	bytes  []byte // in enc, not written yet
}

// rtfGroup is what ends with a group.
type rtfGroup struct {
	hidden bool // fonts, colours, pictures: no text
	uc     int  // characters that stand in for one of \u
}

// rtf adds the text of a document.
func rtf(out *limited, in []byte) {
	r := rtfReader{out: out, in: in, state: rtfGroup{uc: 1}, enc: charmap.Windows1252}
	for len(r.in) > 0 && !out.full() {
		c := r.in[0]
		r.in = r.in[1:]
		switch c {
		case '{':
			r.flush()
			r.open()
		case '}':
			r.flush()
			r.close()
		case '\\':
			r.control()
		case '\r', '\n':
		default:
			r.char(c)
		}
	}
	r.flush()
}

func (r *rtfReader) open() {
	if len(r.groups) >= maxGroups {
		r.deep++
		return
	}
	r.groups = append(r.groups, r.state)
}

func (r *rtfReader) close() {
	switch n := len(r.groups); {
	case r.deep > 0:
		r.deep--
	case n > 0:
		r.state, r.groups = r.groups[n-1], r.groups[:n-1]
	}
	r.skip = 0
}

// char takes an octet of text.
func (r *rtfReader) char(c byte) {
	switch {
	case r.skip > 0:
		r.skip--
	case !r.state.hidden && r.deep == 0:
		r.bytes = append(r.bytes, c)
	}
}

// flush writes the octets gathered so far in UTF-8.
func (r *rtfReader) flush() {
	if len(r.bytes) == 0 {
		return
	}
	if b, err := r.enc.NewDecoder().Bytes(r.bytes); err == nil {
		r.out.write(b)
	}
	r.bytes = r.bytes[:0]
}

func (r *rtfReader) rune(c rune) {
	r.flush()
	if !r.state.hidden && r.deep == 0 {
		r.out.write(utf8.AppendRune(nil, c))
	}
}

// control reads what follows a backslash.
func (r *rtfReader) control() {
	if len(r.in) == 0 {
		return
	}
	n := 0
	for n < len(r.in) && n < 32 && (r.in[n]|0x20) >= 'a' && (r.in[n]|0x20) <= 'z' {
		n++
	}
	if n == 0 {
		r.symbol()
		return
	}
	word := string(r.in[:n])
	r.in = r.in[n:]
	n = 0
	for n < len(r.in) && n < 11 && (r.in[n] >= '0' && r.in[n] <= '9' || n == 0 && r.in[n] == '-') {
		n++
	}
	arg, _ := strconv.Atoi(string(r.in[:n])) // 0 where there is none
	r.in = r.in[n:]
	if len(r.in) > 0 && r.in[0] == ' ' {
		r.in = r.in[1:]
	}
	r.word(word, arg)
}

func (r *rtfReader) symbol() {
	c := r.in[0]
	r.in = r.in[1:]
	switch c {
	case '\'':
		if len(r.in) >= 2 {
			if v, err := strconv.ParseUint(string(r.in[:2]), 16, 8); err == nil {
				r.char(byte(v))
			}
			r.in = r.in[2:]
		}
	case '\\', '{', '}':
		r.char(c)
	case '~':
		r.char(' ')
	case '*':
		r.state.hidden = true
	case '\r', '\n':
		r.char('\n')
	}
}

func (r *rtfReader) word(word string, arg int) {
	switch word {
	case "par", "line", "row", "cell", "sect", "page":
		r.rune('\n')
	case "tab":
		r.rune(' ')
	case "emdash", "endash", "bullet":
		r.rune('-')
	case "lquote", "rquote":
		r.rune('\'')
	case "uc":
		r.state.uc = max(0, min(arg, 100))
	case "u":
		r.unicode(uint16(arg))
	case "bin": // octets that are no RTF
		r.in = r.in[max(0, min(arg, len(r.in))):]
	case "ansicpg":
		if e, err := htmlindex.Get("windows-" + strconv.Itoa(arg)); err == nil {
			r.enc = e
		}
	case "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "themedata", "listtable", "listoverridetable", "rsidtbl", "generator", "fldinst":
		r.state.hidden = true
	}
}

// unicode takes a UTF-16 code unit.
func (r *rtfReader) unicode(v uint16) {
	c := rune(v)
	switch {
	case utf16.IsSurrogate(c) && r.high == 0:
		r.high = c
	case r.high != 0:
		c = utf16.DecodeRune(r.high, c)
		r.high = 0
		r.rune(c)
	default:
		r.rune(c)
	}
	r.skip = r.state.uc
}
