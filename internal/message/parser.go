package message

import "bytes"

// Parser reads a message incrementally. The zero Parser is ready. Write never
// fails and keeps no reference to its argument; Close must be called once, after
// the last byte. A Parser is used by one goroutine; Reset makes it new again and
// keeps its buffers.
type Parser struct {
	off       int64  // bytes seen
	lineStart int64  // offset of the line being read
	lines     int64  // newlines seen before lineStart
	line      []byte // start of a line that began in an earlier Write
	lastCR    bool   // last byte of an unfinished line is CR
	prevNL    int64  // bytes of the newline before lineStart: 0, 1 or 2

	frames   []frame
	inHeader bool // the top frame's header is being read
	hdr      []byte
	hdrLimit int
	fields   int
	garbage  int64 // offset of a header line without a name, or -1
	garbageN int64 // newlines before it
	hdrTotal int
	parts    int
	room     int // addresses that may still be kept

	root      *Part
	rootHdr   Header
	truncated bool
	plain     capture
	html      capture
}

// frame is an open part. The top frame is the part whose bytes are being read.
type frame struct {
	part       *Part
	boundary   string // of a multipart that still expects parts
	sum        uint32 // of boundary
	startLines int64
	digest     bool // children default to message/rfc822
}

// capture keeps the beginning of the first plain or HTML text for the preview.
type capture struct {
	part *Part
	buf  []byte
	full bool
}

// Parse returns the structure of a message held in memory.
func Parse(b []byte) *Structure {
	var p Parser
	p.Write(b)
	return p.Close()
}

// Reset makes p ready for another message.
func (p *Parser) Reset() {
	const keepHeader = 64 << 10
	if cap(p.hdr) > keepHeader {
		p.hdr = nil
	}
	if cap(p.line) > keepHeader {
		p.line = nil
	}
	*p = Parser{line: p.line[:0], hdr: p.hdr[:0], frames: p.frames[:0],
		plain: capture{buf: p.plain.buf[:0]}, html: capture{buf: p.html.buf[:0]}}
}

// Write takes the next bytes of the message. It always returns len(b), nil.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	if p.root == nil {
		p.start()
	}
	if len(p.line) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.hold(b)
			return n, nil
		}
		p.hold(b[:i+1])
		b = b[i+1:]
		p.endLine(p.line, p.off, p.lastCR)
		p.line, p.lastCR = p.line[:0], false
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.hold(b)
			break
		}
		p.off += int64(i + 1)
		p.endLine(b[:i+1], p.off, i > 0 && b[i-1] == '\r')
		b = b[i+1:]
	}
	return n, nil
}

// hold keeps the part of an unfinished line that matters.
func (p *Parser) hold(b []byte) {
	p.off += int64(len(b))
	limit := maxBodyLine
	if p.inHeader {
		limit = MaxHeaderBytes
	}
	// lastCR describes the byte before the newline, so the newline is not counted.
	body := b
	if b[len(b)-1] == '\n' {
		body = b[:len(b)-1]
	}
	if len(body) > 0 {
		p.lastCR = body[len(body)-1] == '\r'
	}
	if room := limit - len(p.line); room < len(b) {
		b = b[:max(room, 0)]
	}
	p.line = append(p.line, b...)
}

// endLine handles a line that ends at offset end. line is the line with its
// newline, or its beginning.
func (p *Parser) endLine(line []byte, end int64, cr bool) {
	if p.inHeader {
		p.headerLine(line)
	} else {
		p.bodyLine(line)
	}
	p.lineStart = end
	p.lines++
	p.prevNL = 1
	if cr {
		p.prevNL = 2
	}
}

// Close ends the message and returns its structure.
func (p *Parser) Close() *Structure {
	if p.root == nil {
		p.start()
	}
	if len(p.line) > 0 { // a last line without newline
		if p.inHeader {
			p.headerLine(p.line)
		} else {
			p.bodyLine(p.line)
		}
		p.line = p.line[:0]
	}
	for p.inHeader {
		if p.garbage >= 0 { // text without any empty line is a body
			p.finishHeader(p.garbage, p.garbageN)
		} else {
			p.finishHeader(p.off, p.lines)
		}
	}
	p.closeTo(0, p.off, p.lines)
	return &Structure{Root: p.root, Size: p.off, Truncated: p.truncated}
}

// Header returns the message's own header, at most MaxHeaderBytes of it; valid
// after Close.
func (p *Parser) Header() Header { return p.rootHdr }

func (p *Parser) start() {
	p.root = &Part{}
	p.parts, p.room = 1, MaxAddresses
	p.open(p.root, 0, 0)
}

// open pushes part, whose header starts at off.
func (p *Parser) open(part *Part, off, lines int64) {
	part.HeaderStart = off
	p.frames = append(p.frames, frame{part: part, startLines: lines})
	p.inHeader = true
	p.hdr = p.hdr[:0]
	p.fields = 0
	p.garbage = -1
	p.hdrLimit = MaxHeaderBytes
	if p.hdrTotal >= MaxHeaderTotal {
		p.hdrLimit = leanHeader
	}
}

// closeTo ends the frames from index i up: their last byte is before end.
func (p *Parser) closeTo(i int, end, lines int64) {
	for n := len(p.frames) - 1; n >= i; n-- {
		f := &p.frames[n]
		f.part.BodyEnd = max(f.part.BodyStart, end)
		if c := f.part.Children; len(c) > 0 {
			f.part.BodyEnd = max(f.part.BodyEnd, c[len(c)-1].BodyEnd)
		}
		f.part.Lines = max(0, lines-f.startLines)
	}
	p.frames = p.frames[:i]
}

// headerLine handles one line of the top frame's header.
func (p *Parser) headerLine(line []byte) {
	text := trimEOL(line)
	if len(bytes.TrimRight(text, "\r")) == 0 {
		p.finishHeader(p.lineStart+int64(len(line)), p.lines+int64(bytes.Count(line, []byte{'\n'})))
		return
	}
	if text[0] == '-' && len(text) > 2 && text[1] == '-' {
		// A delimiter ends a header that lacks its empty line.
		if i, _ := p.match(text); i >= 0 || fieldName(text) == 0 {
			p.finishHeader(p.lineStart, p.lines)
			p.relay(line)
			return
		}
	}
	if text[0] == ' ' || text[0] == '\t' {
		if p.garbage < 0 {
			p.keep(line)
		}
		return
	}
	if fieldName(text) > 0 {
		p.garbage = -1
		p.keep(line)
		return
	}
	if p.lineStart == p.frames[len(p.frames)-1].part.HeaderStart && bytes.HasPrefix(text, []byte("From ")) {
		return // an mbox separator, kept inside the header's bytes
	}
	if p.garbage < 0 { // one odd line is let pass if a field follows
		p.garbage, p.garbageN = p.lineStart, p.lines
		return
	}
	// Two in a row: the empty line is missing and the body began at the first.
	start, n := p.garbage, p.garbageN
	p.finishHeader(start, n)
	if p.inHeader {
		p.garbage, p.garbageN = start, n
	}
	p.relay(line)
}

// relay handles line again after the header has ended before it.
func (p *Parser) relay(line []byte) {
	if p.inHeader {
		p.headerLine(line)
	} else {
		p.bodyLine(line)
	}
}

// keep adds a line to the header being collected.
func (p *Parser) keep(line []byte) {
	if p.fields >= MaxFields || len(p.hdr) >= p.hdrLimit {
		return
	}
	if line[0] != ' ' && line[0] != '\t' {
		p.fields++
	}
	if room := p.hdrLimit - len(p.hdr); len(line) > room {
		line = line[:room]
	}
	p.hdr = append(p.hdr, line...)
	if line[len(line)-1] != '\n' {
		p.hdr = append(p.hdr, '\n')
	}
}

// finishHeader ends the top frame's header: its body starts at offset body,
// before which there are lines newlines.
func (p *Parser) finishHeader(body, lines int64) {
	f := &p.frames[len(p.frames)-1]
	part := f.part
	part.BodyStart = body
	f.startLines = lines
	p.inHeader = false
	p.hdrTotal += len(p.hdr)
	h := Header(p.hdr)
	if part == p.root {
		p.rootHdr = h
	}
	parent := len(p.frames) - 2
	isMsg := parent < 0 || p.frames[parent].part.Type == "message"
	readHeader(part, h, isMsg, parent >= 0 && p.frames[parent].digest, &p.room)
	switch {
	case part.Type == "multipart":
		b := part.Param("boundary")
		if b != "" && len(b) <= maxBoundary && len(p.frames) < MaxDepth {
			b = string(bytes.TrimRight([]byte(b), " \t"))
			f.boundary, f.sum = b, sumOf([]byte(b))
			f.digest = part.Subtype == "digest"
		} else if len(p.frames) >= MaxDepth {
			p.truncated = true
		}
	case part.Type == "message" && (part.Subtype == "rfc822" || part.Subtype == "global"):
		if len(p.frames) >= MaxDepth || p.parts >= MaxParts {
			p.truncated = true
			return
		}
		p.child(part, body, lines)
	case part.Type == "text":
		p.watch(part)
	}
}

func (p *Parser) child(parent *Part, off, lines int64) {
	p.parts++
	c := &Part{}
	parent.Children = append(parent.Children, c)
	p.open(c, off, lines)
}

// bodyLine looks for a delimiter (RFC 2046 5.1.1).
func (p *Parser) bodyLine(line []byte) {
	if len(line) > 2 && line[0] == '-' && line[1] == '-' {
		if i, last := p.match(trimEOL(line)); i >= 0 {
			p.delimiter(i, last, p.lineStart+int64(len(line)))
			return
		}
	}
	if p.plain.part != nil || p.html.part != nil {
		p.capture(line)
	}
}

// delimiter ends the parts above frame i, and starts its next part unless this
// was the last delimiter.
func (p *Parser) delimiter(i int, last bool, next int64) {
	end, lines := p.lineStart-p.prevNL, p.lines
	if p.prevNL > 0 {
		lines--
	}
	p.closeTo(i+1, end, lines)
	f := &p.frames[i]
	if last {
		f.boundary = ""
		return
	}
	if p.parts >= MaxParts {
		p.truncated = true
		f.boundary = ""
		return
	}
	p.child(f.part, next, p.lines+1)
}

// match finds the innermost open multipart that text delimits, or -1. Boundaries
// are compared by a sum first, so a line costs at most MaxDepth integer
// comparisons.
func (p *Parser) match(text []byte) (frame int, last bool) {
	if len(text) > 4*maxBoundary {
		return -1, false
	}
	text = bytes.TrimRight(text[2:], " \t")
	whole := sumOf(text)
	var short []byte
	var shortSum uint32
	if n := len(text) - 2; n > 0 && text[n] == '-' && text[n+1] == '-' {
		short = text[:n]
		shortSum = sumOf(short)
	}
	for i := len(p.frames) - 1; i >= 0; i-- {
		f := &p.frames[i]
		if f.boundary == "" {
			continue
		}
		if f.sum == whole && f.boundary == string(text) {
			return i, false
		}
		if short != nil && f.sum == shortSum && f.boundary == string(short) {
			return i, true
		}
	}
	return -1, false
}

// sumOf is FNV-1a.
func sumOf(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func trimEOL(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n > 1 && b[n-2] == '\r' {
			b = b[:n-2]
		}
	}
	return b
}
