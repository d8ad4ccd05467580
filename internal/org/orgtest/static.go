// Package orgtest is an organization held in memory, for tests and tools that
// have no directory.
package orgtest

import (
	"context"
	"sync"

	"rialto/internal/model"
	"rialto/internal/org"
)

// Static is an org.Directory over a list. Methods and Set may be called from
// anywhere; the exported fields may be changed only before the first use.
type Static struct {
	Cfg        *org.Config
	Recipients []*org.Recipient
	Groups     map[model.GUID][]model.GUID // members of a group
	// Down answers every look-up with KindUnavailable while it returns true.
	Down func() bool

	mu     sync.RWMutex
	byAddr map[string]*org.Recipient
	byGUID map[model.GUID]*org.Recipient
}

var _ org.Directory = (*Static)(nil)

// Config implements org.Directory.
func (s *Static) Config() *org.Config {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.Cfg
}

// Set replaces the configuration, as a change in a directory would.
func (s *Static) Set(c *org.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Cfg = c
}

// Add adds recipients.
func (s *Static) Add(list ...*org.Recipient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Recipients = append(s.Recipients, list...)
	s.byAddr = nil
}

func (s *Static) index() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAddr != nil {
		return
	}
	s.byAddr, s.byGUID = map[string]*org.Recipient{}, map[model.GUID]*org.Recipient{}
	for _, r := range s.Recipients {
		s.byGUID[r.GUID] = r
		if !r.Primary.IsZero() {
			s.byAddr[r.Primary.Key()] = r
		}
		for _, a := range r.Addresses {
			s.byAddr[a.Key()] = r
		}
	}
}

// find answers a look-up.
func (s *Static) find(what string, get func() *org.Recipient) (*org.Recipient, error) {
	if s.Down != nil && s.Down() {
		return nil, model.E("orgtest.find", model.KindUnavailable, what, nil)
	}
	s.mu.RLock()
	ready := s.byAddr != nil
	s.mu.RUnlock()
	if !ready {
		s.index()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := get(); r != nil {
		return r, nil
	}
	return nil, model.E("orgtest.find", model.KindNotFound, what, nil)
}

// Resolve implements org.Directory.
func (s *Static) Resolve(_ context.Context, a model.Address) (*org.Recipient, error) {
	return s.find("address", func() *org.Recipient { return s.byAddr[a.Key()] })
}

// Recipient implements org.Directory.
func (s *Static) Recipient(_ context.Context, g model.GUID) (*org.Recipient, error) {
	return s.find("object", func() *org.Recipient { return s.byGUID[g] })
}

// Members implements org.Directory.
func (s *Static) Members(ctx context.Context, group model.GUID) ([]*org.Recipient, error) {
	if s.Down != nil && s.Down() {
		return nil, model.E("orgtest.members", model.KindUnavailable, "group", nil)
	}
	var out []*org.Recipient
	for _, g := range s.Groups[group] {
		if r, err := s.Recipient(ctx, g); err == nil {
			out = append(out, r)
		}
	}
	return out, nil
}
