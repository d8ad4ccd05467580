package content

import (
	"errors"
	"io"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// openSegments keeps readers of segments that are in use.
type openSegments struct {
	dir    kv.Segments
	mu     sync.Mutex
	m      map[uint64]*sharedSegment
	closed bool
}

// sharedSegment is a reader with those who are reading from it.
type sharedSegment struct {
	kv.SegmentReader
	refs int
	gone bool // to be closed by the last of them
}

func newOpenSegments(dir kv.Segments) *openSegments {
	return &openSegments{dir: dir, m: map[uint64]*sharedSegment{}}
}

// idleSegments is how many readers stay open without anyone reading.
const idleSegments = 64

// readAt reads a record through a shared reader. kv.ErrNotFound: there is no
// such segment any more. Only octets that are not there are corruption; what
// the engine says beside that is handed on.
func (o *openSegments) readAt(loc location, b []byte) error {
	s, err := o.take(loc.segment)
	if err != nil {
		return err
	}
	n, err := s.ReadAt(b, loc.offset)
	o.put(s)
	switch {
	case n == len(b):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return model.E("content.read", model.KindCorrupt, "segment record", err)
	}
	return err
}

func (o *openSegments) take(n uint64) (*sharedSegment, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, kv.ErrClosed
	}
	s := o.m[n]
	if s == nil {
		r, err := o.dir.Open(n)
		if err != nil {
			return nil, err
		}
		s = &sharedSegment{SegmentReader: r}
		o.m[n] = s
		o.trimLocked(n)
	}
	s.refs++
	return s, nil
}

func (o *openSegments) put(s *sharedSegment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.refs--; s.refs == 0 && s.gone {
		_ = s.Close() // a reader has nothing to lose
	}
}

// trimLocked closes idle readers, but not that of keep, until few are left.
func (o *openSegments) trimLocked(keep uint64) {
	for n, s := range o.m {
		if len(o.m) <= idleSegments {
			return
		}
		if s.refs == 0 && n != keep {
			o.dropLocked(n)
		}
	}
}

// forget lets go of a segment that was unlinked; those who read from it go on.
func (o *openSegments) forget(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked(n)
}

func (o *openSegments) dropLocked(n uint64) {
	s := o.m[n]
	if s == nil {
		return
	}
	delete(o.m, n)
	if s.gone = true; s.refs == 0 {
		_ = s.Close() // a reader has nothing to lose
	}
}

func (o *openSegments) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for n := range o.m {
		o.dropLocked(n)
	}
}
