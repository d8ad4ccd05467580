package smtp

import (
	"bufio"
	"bytes"
)

// DotWriter writes a message for DATA: dots stuffed, and with Close the
// terminator, behind a CR LF if the message did not end in one.
type DotWriter struct {
	w     *bufio.Writer
	bare  Bare
	start bool // at the start of a line
	cr    bool // the byte before was CR; under ConvertBare it is not yet written
}

// NewDotWriter returns a writer to w. bare is ConvertBare, the safe choice for
// everything that leaves the organization, or KeepBare.
func NewDotWriter(w *bufio.Writer, bare Bare) *DotWriter {
	return &DotWriter{w: w, bare: bare, start: true}
}

// Write implements io.Writer.
func (d *DotWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		line := p
		lf := bytes.IndexByte(p, '\n')
		if lf >= 0 {
			line = p[:lf+1]
		}
		p = p[len(line):]
		if d.bare == ConvertBare {
			d.convert(line)
		} else {
			d.keep(line)
		}
	}
	// bufio.Writer keeps its first error; asking it costs nothing.
	_, err := d.w.Write(nil)
	if err != nil {
		return 0, err
	}
	return total, nil
}

// keep writes part of a line that ends in LF or in the middle.
func (d *DotWriter) keep(line []byte) {
	if d.start && line[0] == '.' {
		d.w.WriteByte('.')
	}
	d.w.Write(line)
	n := len(line)
	crlf := line[n-1] == '\n' && (n > 1 && line[n-2] == '\r' || n == 1 && d.cr)
	d.cr = line[n-1] == '\r'
	d.start = crlf
}

// convert does the same and turns a lone CR or LF into CR LF.
func (d *DotWriter) convert(line []byte) {
	for len(line) > 0 {
		if d.cr { // held back to see what follows
			d.cr = false
			d.w.WriteString("\r\n")
			d.start = true
			if line[0] == '\n' {
				line = line[1:]
				continue
			}
		}
		i := bytes.IndexByte(line, '\r')
		if i < 0 && line[len(line)-1] == '\n' {
			i = len(line) - 1
		}
		text := line
		if i >= 0 {
			text = line[:i]
		}
		if len(text) > 0 {
			if d.start && text[0] == '.' {
				d.w.WriteByte('.')
			}
			d.w.Write(text)
			d.start = false
		}
		if i < 0 {
			return
		}
		if line[i] == '\n' {
			d.w.WriteString("\r\n")
			d.start = true
		} else {
			d.cr = true
		}
		line = line[i+1:]
	}
}

// Close ends the message and flushes.
func (d *DotWriter) Close() error {
	if d.cr && d.bare == ConvertBare {
		d.w.WriteString("\r\n")
		d.start = true
	}
	if !d.start {
		d.w.WriteString("\r\n")
	}
	d.w.WriteString(".\r\n")
	return d.w.Flush()
}
