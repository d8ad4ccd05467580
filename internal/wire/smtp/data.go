package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Bare says what to do with a line feed without carriage return, or the other
// way round, inside a message. Either may be taken for a line end by some other
// server, and with a dot behind it for the end of the message: a second message
// can be smuggled in. Here only CR LF "." CR LF ends the data, whatever the
// policy.
type Bare uint8

// The policies.
const (
	KeepBare    Bare = iota // they are data like any other
	RejectBare              // reader: read to the end, then fail with ErrBareLineEnd
	ConvertBare             // writer: write CR LF in their place (RFC 5321 2.3.8)
)

// Errors of DataReader, found at the end of the data: the session can go on.
var (
	ErrTooLarge    = errors.New("smtp: message exceeds the size limit")
	ErrBareLineEnd = errors.New("smtp: message has a bare CR or LF")
)

// DataReader reads the message after DATA: dots unstuffed, bytes otherwise
// exact, the terminator taken off, the CR LF before it kept. It ends in io.EOF,
// ErrTooLarge or ErrBareLineEnd when the terminator was read, and in
// io.ErrUnexpectedEOF or the stream's error when it was not. Past the size
// limit it reads on and returns nothing. Memory does not depend on the length
// of lines.
type DataReader struct {
	br    *bufio.Reader
	max   int64 // 0: no limit
	bare  Bare
	state dataState
	cr    bool // inLine: the byte before was CR
	found bool // a bare CR or LF was seen
	n     int64
	err   error
}

type dataState uint8

const (
	lineStart dataState = iota // at the start, or after CR LF
	inLine
	afterDot   // "." at the start of a line, not yet handed on
	afterDotCR // and CR behind it
)

// NewDataReader returns a reader of the data that begins at br's next byte.
func NewDataReader(br *bufio.Reader, max int64, bare Bare) *DataReader {
	return &DataReader{br: br, max: max, bare: bare}
}

// Size returns the number of message bytes seen so far, discarded ones too.
func (d *DataReader) Size() int64 { return d.n }

// Read implements io.Reader.
func (d *DataReader) Read(p []byte) (int, error) {
	for d.err == nil && len(p) > 0 {
		if _, err := d.br.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			d.err = err
			break
		}
		buf, _ := d.br.Peek(d.br.Buffered())
		used, made, done := d.step(p, buf)
		d.br.Discard(used)
		d.n += int64(made)
		if done {
			d.err = d.verdict()
		}
		if d.tooLarge() {
			made = 0
		}
		if made > 0 {
			return made, nil
		}
	}
	return 0, d.err
}

// Drain reads to the terminator and returns nil when it was found.
func (d *DataReader) Drain() error {
	var b [4096]byte
	for d.err == nil {
		d.Read(b[:])
	}
	if errors.Is(d.err, io.EOF) || errors.Is(d.err, ErrTooLarge) || errors.Is(d.err, ErrBareLineEnd) {
		return nil
	}
	return d.err
}

func (d *DataReader) tooLarge() bool { return d.max > 0 && d.n > d.max }

func (d *DataReader) verdict() error {
	switch {
	case d.tooLarge():
		return ErrTooLarge
	case d.bare == RejectBare && d.found:
		return ErrBareLineEnd
	}
	return io.EOF
}

// step moves bytes from buf to p until one of them is used up or the
// terminator is found. Only the beginnings of lines are looked at one byte at a
// time.
func (d *DataReader) step(p, buf []byte) (used, made int, done bool) {
	for used < len(buf) && made < len(p) {
		switch d.state {
		case lineStart:
			if buf[used] == '.' {
				d.state = afterDot
				used++
				continue
			}
			d.state, d.cr = inLine, false
		case afterDot:
			if buf[used] == '\r' {
				d.state = afterDotCR
				used++
				continue
			}
			d.state, d.cr = inLine, false
		case afterDotCR:
			if buf[used] == '\n' {
				return used + 1, made, true
			}
			p[made] = '\r'
			made++
			d.state, d.cr = inLine, true
		case inLine:
			k := d.line(p[made:], buf[used:])
			used += k
			made += k
		}
	}
	return used, made, false
}

// line copies up to and including the next LF and returns how much.
func (d *DataReader) line(p, buf []byte) int {
	seg := buf[:min(len(buf), len(p))]
	lf := bytes.IndexByte(seg, '\n')
	if lf >= 0 {
		seg = seg[:lf+1]
	}
	if d.bare == RejectBare && !d.found {
		d.found = bareCR(seg, d.cr)
	}
	copy(p, seg)
	last := seg[len(seg)-1]
	if lf < 0 {
		d.cr = last == '\r'
		return len(seg)
	}
	if lf > 0 {
		d.cr = seg[lf-1] == '\r'
	}
	if d.cr {
		d.state = lineStart
	} else {
		d.found = true
	}
	d.cr = false
	return len(seg)
}

// bareCR reports whether seg has a CR not followed by LF; before says that a CR
// precedes seg. One at the end of seg is left to the next call.
func bareCR(seg []byte, before bool) bool {
	if before && seg[0] != '\n' {
		return true
	}
	for {
		i := bytes.IndexByte(seg, '\r')
		if i < 0 || i == len(seg)-1 {
			return false
		}
		if seg[i+1] != '\n' {
			return true
		}
		seg = seg[i+2:]
	}
}

// NewChunkReader reads the n bytes of a BDAT chunk from br; fewer are
// io.ErrUnexpectedEOF.
func NewChunkReader(br *bufio.Reader, n int64) io.Reader { return &chunkReader{br, n} }

type chunkReader struct {
	br   *bufio.Reader
	left int64
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
