package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"rialto/internal/model"
)

// Reader reads commands. It holds one line without its literals at a time.
type Reader struct {
	br *bufio.Reader

	// Continue sends a command continuation ("+ …") and flushes. It is called
	// before a synchronizing literal is read. Required.
	Continue func() error
	// UTF8 says that the client enabled IMAP4rev2 or UTF8=ACCEPT: mailbox names
	// are UTF-8 and an & in them stands for itself.
	UTF8 bool
	// MaxLine limits the bytes of a command outside of literals; 64 KB if 0.
	MaxLine int
	// MaxLiteral limits the literals of a command that are held in memory,
	// together; 64 KB if 0. Streamed literals are limited by their reader.
	MaxLiteral int64
	// MaxDiscard limits what Skip reads to find the next command; 16 MB if 0.
	MaxDiscard int64

	line     []byte // the current segment without its newline
	pos      int
	used     int   // bytes of the command's segments so far
	literals int64 // bytes of its buffered literals
	pending  *Literal
	body     *io.LimitedReader // a streamed literal that is being read
	active   bool              // a command has begun and not ended
	stuck    error             // the stream cannot be used any more
}

// Literal announces a literal whose bytes are still to be read.
type Literal struct {
	Size    int64
	NonSync bool // {n+}: the client sends without waiting
	Binary  bool // ~{n}: may hold NUL (RFC 3516)
}

// NewReader returns a Reader on r with a buffer of 4 KB.
func NewReader(r io.Reader) *Reader { return &Reader{br: bufio.NewReaderSize(r, 4096)} }

// Reset makes r read from src, as after STARTTLS: what was buffered is dropped.
func (r *Reader) Reset(src io.Reader) {
	r.br.Reset(src)
	r.line, r.pos, r.active, r.stuck, r.body, r.pending = r.line[:0], 0, false, nil, nil, nil
}

// Buffered returns the bytes that have been received and not read: more than 0
// means that the client pipelines.
func (r *Reader) Buffered() int { return r.br.Buffered() }

func (r *Reader) maxLine() int {
	if r.MaxLine > 0 {
		return r.MaxLine
	}
	return 64 << 10
}

func (r *Reader) maxLiteral() int64 {
	if r.MaxLiteral > 0 {
		return r.MaxLiteral
	}
	return 64 << 10
}

func (r *Reader) maxDiscard() int64 {
	if r.MaxDiscard > 0 {
		return r.MaxDiscard
	}
	return 16 << 20
}

// Begin reads the start of a command: its tag and its name in upper case, "UID
// FETCH" being one name. io.EOF means that the client has gone. After a syntax
// error tag is what could be read of it, "" if nothing: then the answer goes
// under "*".
func (r *Reader) Begin() (tag, name string, err error) {
	if r.stuck != nil {
		return "", "", r.stuck
	}
	const idleBuffer = 8 << 10
	if cap(r.line) > idleBuffer {
		r.line = nil
	}
	r.used, r.literals, r.pending, r.body = 0, 0, nil, nil
	r.active = true
	if err := r.segment(); err != nil {
		return "", "", err
	}
	tag = r.run(isTagChar)
	if tag == "" {
		return "", "", syntax("Missing tag")
	}
	if err := r.SP(); err != nil {
		return tag, "", err
	}
	if name = upper(r.run(isAtomChar)); name == "" {
		return tag, "", syntax("Missing command")
	}
	if name == "UID" && r.Byte(' ') {
		name += " " + upper(r.run(isAtomChar))
	}
	return tag, name, nil
}

// segment reads a line into r.line.
func (r *Reader) segment() error {
	r.line, r.pos = r.line[:0], 0
	for {
		b, err := r.br.ReadSlice('\n')
		if r.used += len(b); r.used > r.maxLine() {
			return r.tooLong(b, err)
		}
		r.line = append(r.line, b...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			if err == io.EOF && len(r.line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			r.stuck = err
			return err
		}
	}
	r.line = trimNewline(r.line)
	return nil
}

func trimNewline(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}

// tooLong reads the rest of a line over the limit, keeping only its end, where a
// literal may be announced.
func (r *Reader) tooLong(b []byte, err error) error {
	const tail = 32
	n := int64(len(b))
	keep := append([]byte(nil), b[max(0, len(b)-tail):]...)
	for err == bufio.ErrBufferFull && n <= r.maxDiscard() {
		b, err = r.br.ReadSlice('\n')
		n += int64(len(b))
		keep = append(keep, b...)
		keep = keep[max(0, len(keep)-tail):]
	}
	if err != nil {
		if err == bufio.ErrBufferFull {
			err = model.E("imap.read", model.KindTooLarge, "line", nil)
		}
		r.stuck = err
		return err
	}
	r.line = trimNewline(append(r.line[:0], keep...))
	r.pos = len(r.line)
	return syntax("Command line too long")
}

// Skip reads to the end of the command, discarding the rest. nil means that the
// next command can be read; an error that the connection must be closed.
func (r *Reader) Skip() error {
	left := r.maxDiscard()
	for r.active && r.stuck == nil {
		var lit *Literal
		switch {
		case r.body != nil:
			r.pending, lit = nil, &Literal{Size: r.body.N, NonSync: true}
			r.body = nil
		case r.pending != nil:
			lit, r.pending = r.pending, nil
		default:
			lit = literalAtEnd(r.line)
		}
		if lit == nil || !lit.NonSync { // refused: the client will not send it
			break
		}
		if left -= lit.Size; left < 0 {
			r.stuck = model.E("imap.skip", model.KindTooLarge, "literal", nil)
			break
		}
		if _, err := r.br.Discard(int(lit.Size)); err != nil {
			r.stuck = err
			break
		}
		r.used = 0
		if err := r.segment(); err != nil && !IsSyntax(err) {
			break
		}
	}
	r.active = false
	return r.stuck
}

// Line reads a line that is no command: DONE after IDLE, a SASL response. It is
// at most max bytes.
func (r *Reader) Line(max int) (string, error) {
	r.used = 0
	saved := r.MaxLine
	r.MaxLine = max + 2
	err := r.segment()
	r.MaxLine = saved
	r.pos = len(r.line)
	return string(r.line), err
}

// literalAtEnd parses a {n} or {n+} at the end of a line.
func literalAtEnd(line []byte) *Literal {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return nil
	}
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return nil
	}
	l := &Literal{Binary: i > 0 && line[i-1] == '~'}
	digits := line[i+1 : len(line)-1]
	if n := len(digits); n > 0 && (digits[n-1] == '+' || digits[n-1] == '-') {
		l.NonSync = true
		digits = digits[:n-1]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return nil
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return nil
		}
		l.Size = l.Size*10 + int64(c-'0')
	}
	return l
}

// errLiteral is the cause for a literal that is too large to be held.
var errLiteral = errors.New("imap: literal too large")

// Announced reads a literal's announcement. Its bytes are read with Accept, or
// refused by Skip.
func (r *Reader) Announced() (Literal, error) {
	if r.pending == nil {
		i := r.pos
		if i < len(r.line) && r.line[i] == '~' {
			i++
		}
		l := literalAtEnd(r.line[r.pos:])
		if i >= len(r.line) || r.line[i] != '{' || l == nil || bytes.LastIndexByte(r.line, '{') != i {
			return Literal{}, syntax("Expected a literal")
		}
		r.pos = len(r.line)
		r.pending = l
	}
	return *r.pending, nil
}

// Accept returns the bytes of the announced literal, after a continuation where
// the client waits for one. The reader must be read to its end before the
// command is read further; Skip does that too. After it, call Resume.
func (r *Reader) Accept() (io.Reader, error) {
	l := r.pending
	if l == nil {
		return nil, syntax("Expected a literal")
	}
	r.pending = nil
	if !l.NonSync {
		if err := r.Continue(); err != nil {
			r.stuck = err
			return nil, err
		}
	}
	r.body = &io.LimitedReader{R: r.br, N: l.Size}
	return &literalReader{r: r, body: r.body}, nil
}

// literalReader turns an early end of the stream into an error.
type literalReader struct {
	r    *Reader
	body *io.LimitedReader
}

func (l *literalReader) Read(b []byte) (int, error) {
	n, err := l.body.Read(b)
	if err == io.EOF && l.body.N > 0 {
		err = io.ErrUnexpectedEOF
		l.r.stuck = err
	}
	return n, err
}

// Resume goes on behind a literal that has been read.
func (r *Reader) Resume() error {
	if r.body != nil && r.body.N > 0 {
		return model.E("imap.read", model.KindOther, "literal not read to its end", nil)
	}
	r.body = nil
	return r.segment()
}

// literal reads a literal into memory.
func (r *Reader) literal() (string, error) {
	l, err := r.Announced()
	if err != nil {
		return "", err
	}
	if r.literals += l.Size; r.literals > r.maxLiteral() {
		return "", model.E("imap.read", model.KindTooLarge, "Literal too large", errors.Join(errSyntax, errLiteral))
	}
	src, err := r.Accept()
	if err != nil {
		return "", err
	}
	b := make([]byte, l.Size)
	if _, err := io.ReadFull(src, b); err != nil {
		r.stuck = err
		return "", err
	}
	return string(b), r.Resume()
}
