// Package smtp is the codec of SMTP (RFC 5321) and its extensions, for servers
// and clients, over readers and writers that others opened. It knows no policy:
// a server head decides what to obey, and timeouts are the caller's.
//
// Errors that have an answer on the wire are *Reply, ready to be sent (server)
// or as received (client); everything else is the stream's error.
package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Limits on lines in bytes, line end included. RFC 5321 4.5.3.1.4 has 512 and
// the extensions add to it; AUTH may carry 12288 (RFC 4954 4.6).
const (
	MaxCommandLine = 2048
	MaxAuthLine    = 12288 + 64
	maxDiscard     = 256 << 10 // of one line that is too long, before giving up
)

// ErrEndless means a line did not end within any sensible limit: the peer does
// not speak SMTP, hang up.
var ErrEndless = errors.New("smtp: line without end")

// Command is one client command.
type Command struct {
	Verb string // upper case; "" for an empty line
	Args string // without leading and trailing white space, otherwise as sent
}

// ReadCommand reads one command line, which may end in a bare LF. A line that
// is too long, or holds control characters, is read to its end and reported as
// a *Reply; the session can go on. The buffer of br must be 4 KB at least.
func ReadCommand(br *bufio.Reader) (Command, error) {
	line, err := ReadLine(br, MaxAuthLine)
	if err != nil {
		return Command{}, err
	}
	c, err := ParseCommand(line)
	if err == nil && len(line) > MaxCommandLine && c.Verb != "AUTH" {
		return Command{Verb: c.Verb}, errLineTooLong()
	}
	return c, err
}

// ReadLine reads a line of at most limit bytes and returns it without its end,
// as a fresh slice. It is for SASL responses; ReadCommand uses it.
func ReadLine(br *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	long := 0
	for {
		part, err := br.ReadSlice('\n')
		switch {
		case long > 0 || len(line)+len(part) > limit:
			long += len(part)
			line = nil
		default:
			line = append(line, part...)
		}
		switch {
		case err == nil && long > 0:
			return nil, errLineTooLong()
		case err == nil:
			line = line[:len(line)-1]
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) && (len(line) > 0 || long > 0) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		case long > maxDiscard:
			return nil, ErrEndless
		}
	}
}

// ParseCommand splits a line without its end.
func ParseCommand(line []byte) (Command, error) {
	for _, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return Command{}, Replyf(500, "5.5.2", "Syntax error, control character in command")
		}
	}
	s := strings.Trim(string(line), " \t")
	verb, args := s, ""
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		verb, args = s[:i], strings.Trim(s[i:], " \t")
	}
	return Command{Verb: upper(verb), Args: args}, nil
}

// upper is strings.ToUpper for ASCII only: other letters must not turn into
// ASCII ones.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func errLineTooLong() *Reply { return Replyf(500, "5.5.2", "Line too long") }

// BDAT is the argument of that command (RFC 3030).
type BDAT struct {
	Size int64
	Last bool
}

// ParseBDAT reads "n" or "n LAST".
func ParseBDAT(args string) (BDAT, error) {
	size, last, two := strings.Cut(args, " ")
	n, err := parseSize(size)
	if err != nil || two && !strings.EqualFold(strings.TrimSpace(last), "LAST") {
		return BDAT{}, Replyf(501, "5.5.4", "Syntax: BDAT size [LAST]")
	}
	return BDAT{n, two}, nil
}

// parseSize reads a decimal number without sign, of at most 18 digits.
func parseSize(s string) (int64, error) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// ParseAuth splits the argument of AUTH into mechanism and initial response
// (base64 as sent; has tells an absent from an empty one).
func ParseAuth(args string) (mechanism, initial string, has bool, err error) {
	mechanism, initial, has = strings.Cut(args, " ")
	if mechanism == "" || strings.ContainsAny(initial, " \t") {
		return "", "", false, Replyf(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
	}
	return upper(mechanism), initial, has, nil
}
