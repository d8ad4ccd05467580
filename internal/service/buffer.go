package service

import (
	"bufio"
	"io"
	"sync"
)

// BufferSize is the size of a connection's read and write buffers in bytes.
const BufferSize = 16 << 10

// buffers lends read and write buffers to the connections of one run.
type buffers struct {
	readers, writers sync.Pool
}

// pooledReader is a buffered reader whose source can change: the connection,
// or, for the first bytes after a wait, its descriptor.
type pooledReader struct {
	bufio.Reader
	src source
}

// source is what a pooledReader reads from.
type source struct {
	conn *Conn
	fd   uintptr // read directly while conn is nil
}

func (s *source) Read(b []byte) (int, error) {
	if s.conn != nil {
		return s.conn.Read(b)
	}
	return readFD(s.fd, b)
}

func (b *buffers) reader() *pooledReader {
	if p, ok := b.readers.Get().(*pooledReader); ok {
		return p
	}
	p := &pooledReader{}
	p.Reader = *bufio.NewReaderSize(&p.src, BufferSize)
	return p
}

func (b *buffers) dropReader(p *pooledReader) {
	p.src = source{}
	p.Reset(&p.src)
	b.readers.Put(p)
}

func (b *buffers) writer(to io.Writer) *bufio.Writer {
	w, ok := b.writers.Get().(*bufio.Writer)
	if !ok {
		return bufio.NewWriterSize(to, BufferSize)
	}
	w.Reset(to)
	return w
}

func (b *buffers) dropWriter(w *bufio.Writer) {
	w.Reset(io.Discard)
	b.writers.Put(w)
}

// Reader returns the buffered reader, valid until the next WaitInput.
func (c *Conn) Reader() *bufio.Reader {
	if c.r == nil {
		c.r = c.run.bufs.reader()
		c.r.src.conn = c
	}
	return &c.r.Reader
}

// Writer returns the buffered writer, valid until the next WaitInput. Nothing
// is sent before it is full, flushed, or WaitInput is called.
func (c *Conn) Writer() *bufio.Writer {
	if c.w == nil {
		c.w = c.run.bufs.writer(c)
	}
	return c.w
}

func (c *Conn) releaseReader() {
	if c.r != nil {
		c.run.bufs.dropReader(c.r)
		c.r = nil
	}
}

func (c *Conn) releaseWriter() {
	if c.w != nil {
		c.run.bufs.dropWriter(c.w)
		c.w = nil
	}
}

// awaitByte blocks until input is at hand without owning a buffer meanwhile.
// Where the system allows it the first read goes straight into a borrowed
// buffer, at no cost in system calls; under TLS, or without a descriptor, one
// byte is read ahead.
func (c *Conn) awaitByte() error {
	if c.tlsState == nil && c.rc != nil {
		return c.awaitRaw()
	}
	n, err := c.nc.Read(c.first[:])
	if n == 1 {
		c.peeked, err = true, nil
		c.gotBytes(1)
	}
	return err
}

// awaitRaw waits on the descriptor. The read is tried before waiting, as the
// poller tells of new input once only.
func (c *Conn) awaitRaw() error {
	var first error
	err := c.rc.Read(func(fd uintptr) bool {
		p := c.run.bufs.reader()
		p.src = source{fd: fd}
		_, first = p.Peek(1)
		if first == nil {
			p.src = source{conn: c}
			c.r = p
			return true
		}
		c.run.bufs.dropReader(p)
		return first != errWouldBlock
	})
	if err != nil {
		return err
	}
	if first == nil {
		c.in.Add(int64(c.r.Buffered()))
		c.opBytes += int64(c.r.Buffered())
	}
	return first
}
