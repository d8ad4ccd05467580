// Package pop3 is the codec of POP3 (RFC 1939, RFC 2449, RFC 5034): a reader of
// command lines, a writer of replies with dot-stuffing, and a small client over
// a given stream. It opens no sockets.
package pop3

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"rialto/internal/model"
)

// maxCommand is the length of a command line with its newline. RFC 2449 4 says
// 255; SASL initial responses may be longer (RFC 5034 4).
const maxCommand = 12 << 10

// Command is a command line. Args are separated by spaces; Rest is everything
// behind the keyword, since a password may hold spaces.
type Command struct {
	Name string // upper case
	Args []string
	Rest string
}

// Reader reads command lines.
type Reader struct{ br *bufio.Reader }

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReaderSize(r, 1024)} }

// Reset makes r read from src, as after STLS: what was buffered is dropped.
func (r *Reader) Reset(src io.Reader) { r.br.Reset(src) }

// Buffered returns the bytes received and not read.
func (r *Reader) Buffered() int { return r.br.Buffered() }

// Command reads a command. A line that is too long, or holds NUL, is a
// KindInvalid error after which the next command can be read; every other error
// is the stream's.
func (r *Reader) Command() (Command, error) {
	line, err := r.Line()
	if err != nil {
		return Command{}, err
	}
	name, rest, _ := strings.Cut(line, " ")
	return Command{Name: strings.ToUpper(name), Args: strings.Fields(rest), Rest: rest}, nil
}

// Line reads a line without its newline, as a SASL response is.
func (r *Reader) Line() (string, error) { return readLine(r.br, maxCommand) }

// readLine reads a line of at most max bytes; the rest of a longer one is
// discarded, up to 100 times max.
func readLine(br *bufio.Reader, max int) (string, error) {
	var line []byte
	total := 0
	for {
		b, err := br.ReadSlice('\n')
		if total += len(b); total <= max {
			line = append(line, b...)
		}
		if err == bufio.ErrBufferFull {
			if total > 100*max {
				return "", model.E("pop3.read", model.KindTooLarge, "line", nil)
			}
			continue
		}
		if err == io.EOF && total > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		break
	}
	if total > max {
		return "", model.E("pop3.read", model.KindInvalid, "line too long", nil)
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	if bytes.IndexByte(line, 0) >= 0 {
		return "", model.E("pop3.read", model.KindInvalid, "NUL in line", nil)
	}
	return string(line), nil
}
