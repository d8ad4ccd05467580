package message

import (
	"encoding/base64"
	"mime"
	"strings"
	"unicode/utf8"
)

// DecodeText returns the text of an unstructured field or display name in UTF-8:
// encoded words (RFC 2047) decoded, raw 8-bit bytes taken as UTF-8 or as the
// charset they look like. The result is valid UTF-8 without control characters.
// Of a text beyond 64 KB the rest is dropped.
func DecodeText(raw string) string {
	const maxText = 64 << 10
	if len(raw) > maxText {
		raw = raw[:maxText]
	}
	if isPlain(raw) && !strings.Contains(raw, "=?") {
		return raw
	}
	plain := textDecoder(raw)
	var out []byte
	var pend []byte // decoded bytes of adjacent words of one charset
	charset := ""
	flush := func() {
		if len(pend) > 0 {
			out = append(out, decodeWord(charset, pend)...)
			pend = pend[:0]
		}
	}
	afterWord := false
	for raw != "" {
		i := strings.Index(raw, "=?")
		if i < 0 {
			i = len(raw)
		}
		gap := raw[:i]
		if !afterWord || strings.Trim(gap, " \t\r\n") != "" {
			flush()
			out = append(out, plain(gap)...)
		}
		raw = raw[i:]
		if raw == "" {
			if afterWord && gap != "" && len(pend) > 0 {
				flush()
			}
			break
		}
		cs, text, rest, ok := cutWord(raw)
		if !ok {
			flush()
			out = append(out, "=?"...)
			raw, afterWord = raw[2:], false
			continue
		}
		if cs != charset {
			flush()
			charset = cs
		}
		pend = append(pend, text...)
		raw, afterWord = rest, true
	}
	flush()
	return cleanText(string(out))
}

// textDecoder returns what makes UTF-8 of pieces of raw. The charset is guessed
// once for all of them: guessing is dear, and pieces can be many.
func textDecoder(raw string) func(string) string {
	enc := guess([]byte(raw))
	return func(s string) string {
		if enc == nil || utf8.ValidString(s) {
			return strings.ToValidUTF8(s, "\uFFFD")
		}
		if out, err := enc.NewDecoder().String(s); err == nil {
			return out
		}
		return strings.ToValidUTF8(s, "\uFFFD")
	}
}

// decodeWord is decodeBytes without guessing: an unknown charset that is not
// UTF-8 is windows-1252.
func decodeWord(charset string, b []byte) string {
	if !isUTF7(charset) && namedEncoding(charset) == nil && !utf8.Valid(b) {
		charset = "windows-1252"
	}
	return decodeBytes(charset, b)
}

// cutWord takes the encoded word =?charset?Q?text?= off s. Spaces in the text,
// which the RFC forbids, are let pass within one line.
func cutWord(s string) (charset string, text []byte, rest string, ok bool) {
	const maxCharset = 64
	body := s[2:]
	q := strings.IndexByte(body[:min(len(body), maxCharset)], '?')
	if q <= 0 || len(body) < q+3 || body[q+2] != '?' {
		return "", nil, s, false
	}
	charset, _, _ = strings.Cut(lower(body[:q]), "*") // RFC 2231 5: *language
	enc := body[q+1]
	body = body[q+3:]
	end := strings.IndexByte(body, '?')
	for end >= 0 && (end+1 >= len(body) || body[end+1] != '=') {
		if enc != 'q' && enc != 'Q' {
			return "", nil, s, false
		}
		next := strings.IndexByte(body[end+1:], '?')
		if next < 0 {
			return "", nil, s, false
		}
		end += 1 + next
		if end > 1000 { // no word is this long: do not search the same text again and again
			return "", nil, s, false
		}
	}
	if end < 0 {
		return "", nil, s, false
	}
	word := body[:end]
	switch enc {
	case 'q', 'Q':
		text = unqWord(word)
	case 'b', 'B':
		var d base64Filter
		text = d.finish(d.feed(nil, []byte(word)))
	default:
		return "", nil, s, false
	}
	return charset, text, body[end+2:], true
}

func unqWord(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b = append(b, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return b
}

// isPlain reports whether s is printable ASCII.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// cleanText makes control characters into spaces, or drops them.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, s)
}

// EncodeText returns s as it may stand in an unstructured field: as it is where
// it is ASCII, else in encoded words of at most 75 bytes separated by spaces.
func EncodeText(s string) string {
	if isPlain(s) && !strings.Contains(s, "=?") {
		return s
	}
	if !utf8.ValidString(s) {
		s = decodeBytes("", []byte(s))
	}
	s = cleanText(s)
	if isPlain(s) && strings.Contains(s, "=?") { // must not be taken for a word
		return encodeB(s)
	}
	odd := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x7f {
			odd++
		}
	}
	if odd*3 > len(s) {
		return encodeB(s)
	}
	return mime.QEncoding.Encode("utf-8", s)
}

// encodeB returns s in words of the B encoding, each of whole characters.
func encodeB(s string) string {
	const perWord = 45 // 60 characters of base64 and 12 around them
	var b strings.Builder
	for {
		n := min(perWord, len(s))
		for n < len(s) && n > perWord-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		b.WriteString("=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		if s = s[n:]; s == "" {
			return b.String()
		}
		b.WriteByte(' ')
	}
}
