package fulltext

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Field is where in an item a text stands.
type Field byte

// The fields. Header has every field of the header as "Name: text"; Body has the
// text parts, those attached included, as IMAP's BODY sees them; Attachment has
// file names and the text within other attachments.
const (
	Subject Field = 1 + iota
	From
	To
	Cc
	Bcc
	Body
	Header
	Attachment
	fieldEnd
)

// class says what a character can be part of.
type class uint8

const (
	separator class = iota
	letter
	digit
	dense // of a script without spaces between words
)

// First bytes of terms that are no words. Words begin above them.
const (
	gramMark = 0x01 // then two or three characters
	oddTerm  = 0x02 // alone: the text has a character of oddRunes
)

// Limits of words; what is longer is kept in pieces.
const (
	maxWord   = 40 // octets of a run of letters
	maxNumber = 8  // digits
	noiseSize = 20 // octets without white space, with
	noiseTurn = 4  // so many changes between letters and digits
)

// fold returns r in lower case and its class. The two characters outside ASCII
// whose lower case is in it stay: a search for ASCII text does not find them.
func fold(r rune) (rune, class) {
	if r == '\u0130' || r == '\u212a' {
		return r, letter
	}
	r = unicode.ToLower(r)
	switch {
	case r < utf8.RuneSelf:
		return r, asciiClass(byte(r))
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		return r, dense
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return r, letter
	case unicode.IsDigit(r):
		return r, digit
	}
	return r, separator
}

func asciiClass(c byte) class { return asciiTable[c].class }

// asciiTable has the class and the lower case of octets below 0x80, and whether
// they end what is looked at for noise; those above are separators there.
var asciiTable = newASCIITable()

func newASCIITable() (t [256]struct {
	class class
	lower byte
	ends  bool
}) {
	for i := range t {
		c := byte(i)
		t[i].lower = c
		switch {
		case c >= 'A' && c <= 'Z':
			t[i].class, t[i].lower = letter, c+'a'-'A'
		case c >= 'a' && c <= 'z':
			t[i].class = letter
		case c >= '0' && c <= '9':
			t[i].class = digit
		case c <= ' ', strings.IndexByte(`<>",;()`, c) >= 0:
			t[i].ends = true
		}
	}
	return t
}

// tokenizer cuts text into terms. It is for one goroutine; its buffers are used
// again.
type tokenizer struct {
	buf  []byte // the token, folded
	ends []int  // of its characters in buf; none: it is ASCII
	gram []byte
	odd  bool
	room [maxWord + 8]byte
}

// each calls word for the terms of text in order. The slice is valid during the
// call.
func (t *tokenizer) each(text []byte, word func(term []byte)) {
	t.odd = false
	noiseTo, noisy := 0, false
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf && asciiClass(c) == separator {
			i++
			continue
		}
		if i >= noiseTo {
			if n := t.lone(text[i:]); n > 0 {
				i += n
				word(t.buf)
				continue
			}
			noiseTo, noisy = noise(text, i)
		}
		n, cl := t.token(text[i:])
		i += n
		switch {
		case cl == separator:
		case cl == dense && t.chars() >= 2:
			t.grams(2, word)
		case cl != dense && (noisy || len(t.buf) > maxWord || cl == digit && len(t.buf) > maxNumber) && t.chars() >= 3:
			t.grams(3, word)
		default:
			word(t.buf)
		}
	}
	if t.odd {
		word([]byte{oddTerm})
	}
}

// lone reads a word of ASCII letters that has what ends noise behind it, as nearly
// all words of prose have, into buf. It returns the size, 0 if something else
// is there.
func (t *tokenizer) lone(text []byte) int {
	n := 0
	for n < len(text) && n <= maxWord && asciiTable[text[n]].class == letter {
		n++
	}
	if n == 0 || n > maxWord || n == len(text) || !asciiTable[text[n]].ends {
		return 0
	}
	const lower = 0x2020202020202020 // what makes letters small ones
	i := 0
	for ; i < n && i+8 <= len(text); i += 8 {
		binary.LittleEndian.PutUint64(t.room[i:], binary.LittleEndian.Uint64(text[i:])|lower)
	}
	for ; i < n; i++ {
		t.room[i] = asciiTable[text[i]].lower
	}
	t.buf, t.ends = t.room[:n], t.ends[:0]
	return n
}

// token reads one token, or one separator, into buf and returns its size in
// text.
func (t *tokenizer) token(text []byte) (int, class) {
	buf := t.buf[:0]
	t.buf, t.ends = buf, t.ends[:0]
	cl := asciiTable[text[0]].class
	i := 0
	if cl != separator { // nearly all tokens end here
		for i < len(text) && asciiTable[text[i]].class == cl {
			buf = append(buf, asciiTable[text[i]].lower)
			i++
		}
		if t.buf = buf; i == len(text) || text[i] < utf8.RuneSelf {
			return i, cl
		}
		for k := range i {
			t.ends = append(t.ends, k+1)
		}
	}
	for i < len(text) {
		r, n := utf8.DecodeRune(text[i:])
		low, k := fold(r)
		if i == 0 {
			cl = k
		} else if k != cl {
			break
		}
		t.odd = t.odd || low == '\u0130' || low == '\u212a'
		t.buf = utf8.AppendRune(t.buf, low)
		i += n
		t.ends = append(t.ends, len(t.buf))
		if cl == separator {
			break
		}
	}
	return i, cl
}

// chars is the number of characters of the token.
func (t *tokenizer) chars() int {
	if len(t.ends) == 0 {
		return len(t.buf) // ASCII
	}
	return len(t.ends)
}

// end is where character k of the token ends.
func (t *tokenizer) end(k int) int {
	if len(t.ends) == 0 {
		return k + 1
	}
	return t.ends[k]
}

// grams calls word for the overlapping pieces of n characters of the token.
func (t *tokenizer) grams(n int, word func([]byte)) {
	from := 0
	for k := n - 1; k < t.chars(); k++ {
		t.gram = append(append(t.gram[:0], gramMark), t.buf[from:t.end(k)]...)
		word(t.gram)
		from = t.end(k - n + 1)
	}
}

// noise looks at the text from i to the next white space or bracket and tells
// where that is, and whether it looks like no language.
func noise(text []byte, i int) (end int, noisy bool) {
	for end = i; end < len(text) && !asciiTable[text[end]].ends; end++ {
	}
	if end-i < noiseSize {
		return end, false
	}
	turns, last := -1, separator
	for _, c := range text[i:end] {
		if k := asciiTable[c].class; k != separator && k != last {
			turns, last = turns+1, k
		}
	}
	return end, turns >= noiseTurn
}
