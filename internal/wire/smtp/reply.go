package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on replies, both ways.
const (
	maxReplyLine  = 4096 // accepted; RFC 5321 has 512
	maxReplyLines = 256
	maxReplyText  = 480 // sent, so that the line stays within 512
)

// Reply is a server's answer. As an error it says so in one line.
type Reply struct {
	Code     int      // 200–599
	Enhanced string   // "5.7.1" (RFC 2034), empty for none
	Lines    []string // text without codes; at least one when sent
}

// Replyf returns a reply of one line, more where the text has line feeds.
func Replyf(code int, enhanced, format string, args ...any) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Lines: strings.Split(fmt.Sprintf(format, args...), "\n")}
}

// Error implements error.
func (r *Reply) Error() string {
	s := fmt.Sprint(r.Code)
	if r.Enhanced != "" {
		s += " " + r.Enhanced
	}
	return s + " " + r.Text()
}

// Text returns the lines joined by spaces.
func (r *Reply) Text() string { return strings.Join(r.Lines, " ") }

// Positive reports 2xx and 3xx.
func (r *Reply) Positive() bool { return r.Code < 400 }

// Temporary reports 4xx: worth trying again.
func (r *Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// Permanent reports 5xx.
func (r *Reply) Permanent() bool { return r.Code >= 500 }

// Append appends the reply in wire form. Control characters become spaces and
// long lines are cut, so text that came from elsewhere cannot forge replies.
func (r *Reply) Append(dst []byte) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, line := range lines {
		sep := byte('-')
		if i == len(lines)-1 {
			sep = ' '
		}
		dst = fmt.Appendf(dst, "%03d%c", r.Code, sep)
		if r.Enhanced != "" {
			dst = append(append(dst, r.Enhanced...), ' ')
		}
		dst = append(appendClean(dst, line), '\r', '\n')
	}
	return dst
}

func appendClean(dst []byte, s string) []byte {
	if len(s) > maxReplyText {
		s = s[:maxReplyText]
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && s[len(s)-1] >= 0x80 {
			s = s[:len(s)-1]
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// ErrBadReply means the server does not speak SMTP.
var ErrBadReply = errors.New("smtp: malformed reply")

// ReadReply reads a reply of one or more lines. Enhanced is taken from the
// text where it is there.
func ReadReply(br *bufio.Reader) (*Reply, error) {
	r := &Reply{}
	for n := 0; n < maxReplyLines; n++ {
		b, err := ReadLine(br, maxReplyLine)
		if err != nil {
			var too *Reply
			if errors.As(err, &too) {
				err = ErrBadReply
			}
			return nil, err
		}
		code, text, more, ok := splitReply(string(b))
		if !ok || r.Code != 0 && code != r.Code {
			return nil, ErrBadReply
		}
		r.Code = code
		if enh, rest := cutEnhanced(text, code); enh != "" {
			if r.Enhanced == "" {
				r.Enhanced = enh
			}
			text = rest
		}
		r.Lines = append(r.Lines, text)
		if !more {
			return r, nil
		}
	}
	return nil, ErrBadReply
}

func splitReply(s string) (code int, text string, more, ok bool) {
	if len(s) < 3 {
		return 0, "", false, false
	}
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(s[i]-'0')
	}
	if code < 200 || code > 599 {
		return 0, "", false, false
	}
	if len(s) == 3 {
		return code, "", false, true
	}
	if s[3] != ' ' && s[3] != '-' {
		return 0, "", false, false
	}
	return code, s[4:], s[3] == '-', true
}

// cutEnhanced takes "c.s.d " off text when its class fits the code.
func cutEnhanced(text string, code int) (enhanced, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	part := strings.Split(word, ".")
	if len(part) != 3 || len(part[0]) != 1 || int(part[0][0]-'0') != code/100 {
		return "", text
	}
	for _, p := range part[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return "", text
		}
	}
	return word, rest
}
