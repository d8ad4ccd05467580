package service

import "time"

// SetUser names the signed-in user for Info.
func (c *Conn) SetUser(name string) {
	c.mu.Lock()
	c.user = name
	c.mu.Unlock()
}

// ConnInfo describes a connection to an administrator.
type ConnInfo struct {
	ID       uint64
	Remote   string
	User     string // empty before sign-in
	TLS      bool
	Start    time.Time
	BytesIn  int64 // on the wire
	BytesOut int64
}

// Info returns a snapshot.
func (c *Conn) Info() ConnInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnInfo{ID: c.id, Remote: c.raw.RemoteAddr().String(), User: c.user, TLS: c.nc != c.raw,
		Start: c.start, BytesIn: c.in.Load(), BytesOut: c.out.Load()}
}

// Conns lists the open connections ("current sessions").
func (s *Server) Conns() []ConnInfo {
	var conns []*Conn
	s.mu.Lock()
	if s.run != nil {
		conns = s.run.list()
	}
	s.mu.Unlock()
	l := make([]ConnInfo, len(conns))
	for i, c := range conns {
		l[i] = c.Info()
	}
	return l
}

// Disconnect cuts one connection and reports whether it was there.
func (s *Server) Disconnect(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		for c := range s.run.conns {
			if c.id == id {
				c.Close()
				return true
			}
		}
	}
	return false
}
