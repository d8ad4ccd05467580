package pop3

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
)

// Writer writes replies. The first error of the stream is kept and returned by
// Flush.
type Writer struct{ bw *bufio.Writer }

// NewWriter returns a Writer on w with a buffer of 4 KB.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, 4096)} }

// Reset makes w write to dst; what was buffered is dropped.
func (w *Writer) Reset(dst io.Writer) { w.bw.Reset(dst) }

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.bw.Flush() }

// OK writes +OK and text. Control characters in text become spaces.
func (w *Writer) OK(text string) { w.status("+OK", "", text) }

// Err writes -ERR with a response code of RFC 2449 8 without brackets, or "",
// and text: Err("IN-USE", "the mailbox is open elsewhere").
func (w *Writer) Err(code, text string) { w.status("-ERR", code, text) }

// Continue writes a SASL challenge, which is base64 already.
func (w *Writer) Continue(challenge string) { w.status("+", "", challenge) }

func (w *Writer) status(s, code, text string) {
	w.bw.WriteString(s)
	if code != "" {
		w.bw.WriteString(" [" + code + "]")
	}
	if text != "" || s == "+" {
		w.bw.WriteByte(' ')
	}
	w.clean(text)
	w.bw.WriteString("\r\n")
}

func (w *Writer) clean(text string) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		w.bw.WriteByte(c)
	}
}

// Line writes a line of a multi-line reply; End ends the reply.
func (w *Writer) Line(text string) {
	if len(text) > 0 && text[0] == '.' {
		w.bw.WriteByte('.')
	}
	w.clean(text)
	w.bw.WriteString("\r\n")
}

// Number writes a line of LIST: number and value.
func (w *Writer) Number(n int, value int64) {
	b := strconv.AppendInt(w.bw.AvailableBuffer(), int64(n), 10)
	b = strconv.AppendInt(append(b, ' '), value, 10)
	w.bw.Write(append(b, "\r\n"...))
}

// End ends a multi-line reply.
func (w *Writer) End() { w.bw.WriteString(".\r\n") }

// Message copies a message as the lines of a multi-line reply and ends it. A bare
// LF becomes CRLF. An error of r is returned before the end is written: then the
// connection must be closed, for the client cannot know that the message is cut.
func (w *Writer) Message(r io.Reader) error {
	s := &stuffer{bw: w.bw, bol: true}
	if _, err := io.Copy(s, r); err != nil {
		return err
	}
	s.finish()
	w.End()
	return nil
}

// Top is Message for the header, the empty line and the first n lines of the
// body (TOP, RFC 1939 7).
func (w *Writer) Top(r io.Reader, n int) error {
	br := bufio.NewReader(r)
	s := &stuffer{bw: w.bw, bol: true}
	for header, lineStart := true, true; header || n > 0; {
		b, err := br.ReadSlice('\n')
		if len(b) > 0 {
			if _, werr := s.Write(b); werr != nil {
				return werr
			}
		}
		if err == nil {
			blank := lineStart && len(bytes.TrimRight(b, "\r\n")) == 0
			switch {
			case !header:
				n--
			case blank:
				header = false
			}
		}
		lineStart = err == nil
		if err == io.EOF {
			break
		} else if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
	s.finish()
	w.End()
	return nil
}

// stuffer doubles the dots at line starts (RFC 1939 3).
type stuffer struct {
	bw  *bufio.Writer
	bol bool // at the beginning of a line
	cr  bool // the last byte was CR
}

// Write copies runs between newlines, so that a large message costs one search
// a line.
func (s *stuffer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if s.bol && b[0] == '.' {
			s.bw.WriteByte('.')
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			s.cr = b[len(b)-1] == '\r'
			s.bol = false
			_, err := s.bw.Write(b)
			return n, err
		}
		cr := i > 0 && b[i-1] == '\r' || i == 0 && s.cr
		s.bw.Write(b[:i])
		if !cr {
			s.bw.WriteByte('\r')
		}
		if err := s.bw.WriteByte('\n'); err != nil {
			return 0, err
		}
		b = b[i+1:]
		s.bol, s.cr = true, false
	}
	return n, nil
}

// finish ends the last line.
func (s *stuffer) finish() {
	if s.bol {
		return
	}
	if !s.cr {
		s.bw.WriteByte('\r')
	}
	s.bw.WriteByte('\n')
}
