package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Mailbox reads a mailbox name and returns it in UTF-8. INBOX comes in upper
// case however it was written. Names that are no modified UTF-7 are taken as
// they are.
func (r *Reader) Mailbox() (string, error) {
	s, err := r.AString()
	if err != nil {
		return "", err
	}
	return r.mailboxName(s)
}

func (r *Reader) mailboxName(s string) (string, error) {
	if !r.UTF8 {
		if d, ok := DecodeUTF7(s); ok {
			s = d
		}
	}
	if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r\n") {
		return "", syntax("Bad mailbox name")
	}
	if len(s) == 5 && strings.EqualFold(s, "INBOX") {
		s = "INBOX"
	}
	return s, nil
}

// listMailbox reads a mailbox pattern: wildcards need no quotes.
func (r *Reader) listMailbox() (string, error) {
	s, err := r.stringOr(isListChar, "Expected a mailbox pattern")
	if err != nil {
		return "", err
	}
	return r.mailboxName(s)
}

// utf7Base64 is the alphabet of RFC 3501 5.1.3.
const utf7Base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// EncodeUTF7 returns a UTF-8 name in modified UTF-7 (RFC 3501 5.1.3).
func EncodeUTF7(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '&' {
			plain = false
		}
	}
	if plain {
		return s
	}
	enc := base64.NewEncoding(utf7Base64).WithPadding(base64.NoPadding)
	var b strings.Builder
	var run []byte // UTF-16BE
	flush := func() {
		if len(run) > 0 {
			b.WriteString("&" + enc.EncodeToString(run) + "-")
			run = run[:0]
		}
	}
	for _, c := range s {
		switch {
		case c == '&':
			flush()
			b.WriteString("&-")
		case c >= ' ' && c < 0x7f:
			flush()
			b.WriteByte(byte(c))
		default:
			for _, u := range utf16.AppendRune(nil, c) {
				run = append(run, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return b.String()
}

// DecodeUTF7 decodes modified UTF-7; ok is false for what is none.
func DecodeUTF7(s string) (name string, ok bool) {
	if strings.IndexByte(s, '&') < 0 {
		return s, true
	}
	enc := base64.NewEncoding(utf7Base64).WithPadding(base64.NoPadding)
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		j := strings.IndexByte(s, '-')
		if j < 0 {
			return "", false
		}
		if j == 0 {
			b.WriteByte('&')
		} else {
			raw, err := enc.DecodeString(s[:j])
			if err != nil || len(raw)%2 != 0 || strings.ContainsAny(s[:j], "\r\n") {
				return "", false
			}
			units := make([]uint16, len(raw)/2)
			for k := range units {
				units[k] = uint16(raw[2*k])<<8 | uint16(raw[2*k+1])
			}
			for _, c := range utf16.Decode(units) {
				if c == utf8.RuneError || c >= ' ' && c < 0x7f {
					return "", false
				}
				b.WriteRune(c)
			}
		}
		s = s[j+1:]
	}
	return b.String(), true
}

// Match reports whether name matches a LIST pattern: * is anything, % anything
// without the delimiter (0 for none). INBOX is compared without case. The time
// is bounded by the product of the lengths.
func Match(pattern, name string, delim byte) bool {
	if len(name) >= 5 && name[:5] == "INBOX" && (len(name) == 5 || name[5] == delim) &&
		len(pattern) >= 5 && strings.EqualFold(pattern[:5], "INBOX") {
		pattern = "INBOX" + pattern[5:]
	}
	cur := make([]bool, len(name)+1) // cur[i]: the pattern so far matches name[:i]
	cur[0] = true
	for p := 0; p < len(pattern); p++ {
		switch c := pattern[p]; c {
		case '*', '%':
			for i := 1; i <= len(name); i++ {
				if cur[i-1] && (c == '*' || delim == 0 || name[i-1] != delim) {
					cur[i] = true
				}
			}
		default:
			for i := len(name); i > 0; i-- {
				cur[i] = cur[i-1] && name[i-1] == c
			}
			cur[0] = false
		}
	}
	return cur[len(name)]
}
