package imap

import (
	"io"
	"strings"
	"unicode/utf8"
)

// needle is a text to be found without regard to case.
type needle struct {
	lower string
	ascii bool
	first [2]byte // the first byte in both cases
}

func newNeedle(text string) needle {
	n := needle{lower: strings.ToLower(text), ascii: true}
	for i := 0; i < len(n.lower); i++ {
		n.ascii = n.ascii && n.lower[i] < utf8.RuneSelf
	}
	if n.lower != "" {
		c := n.lower[0]
		n.first = [2]byte{c, c}
		if c >= 'a' && c <= 'z' {
			n.first[1] = c - 32
		}
	}
	return n
}

func (n *needle) in(text string) bool { return contains(n, text) }

func (n *needle) inBytes(text []byte) bool { return contains(n, text) }

// contains looks for an ASCII needle in place; others need their hay folded.
func contains[T string | []byte](n *needle, hay T) bool {
	if !n.ascii {
		return strings.Contains(strings.ToLower(string(hay)), n.lower)
	}
	k := len(n.lower)
	if k == 0 {
		return true
	}
	for i := 0; i+k <= len(hay); i++ {
		if c := hay[i]; (c == n.first[0] || c == n.first[1]) && equalFold(hay[i:i+k], n.lower) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII text with text in lower case.
func equalFold[T string | []byte](a T, lower string) bool {
	for i := 0; i < len(lower); i++ {
		c := a[i]
		if c >= 'A' && c <= 'Z' {
			c += 32
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// searchChunk is how much text is looked through at once.
const searchChunk = 32 << 10

// inReader looks through text in UTF-8 as it comes. room is a buffer to be used
// again for the next text.
func (n *needle) inReader(r io.Reader, room *[]byte) (bool, error) {
	if n.lower == "" {
		return true, nil
	}
	if size := searchChunk + 4*len(n.lower) + utf8.UTFMax; cap(*room) < size {
		*room = make([]byte, 0, size)
	}
	buf := (*room)[:0]
	for {
		k, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+k]
		if err == nil && len(buf) < cap(buf)/2 {
			continue
		}
		if n.inBytes(buf) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		// A match may begin in what is kept; folding can make text shorter.
		keep := min(len(buf), 3*len(n.lower)+utf8.UTFMax)
		for keep < len(buf) && !utf8.RuneStart(buf[len(buf)-keep]) {
			keep++
		}
		buf = buf[:copy(buf, buf[len(buf)-keep:])]
	}
}
