package org

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// Options of an Org. Zero fields mean the defaults.
type Options struct {
	Clock    model.Clock   // time.Now
	Debounce time.Duration // between a change and reading the configuration again; 50 ms
	Cache    int           // recipients remembered; 10000
	Events   Events
}

// Events are what an Org tells of itself; nil callbacks are not called. They
// run on the goroutine of the watch and should return soon.
type Events struct {
	Changed func(*Config)         // a new configuration is in force
	Failed  func(error)           // the directory could not be read; the old configuration stays
	Odd     func(dn, what string) // a value that says nothing; it is left out
}

// Org is the organization as the directory describes it, for one server. Safe
// for concurrent use.
type Org struct {
	dir  directory.Directory
	opts Options

	now  atomic.Pointer[snapshot]
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
	cache    cache
}

// Open reads the organization as the server of that name (or objectGUID) sees
// it, and follows its changes until Close. KindNotFound if there is no
// organization or no such server in it.
func Open(ctx context.Context, d directory.Directory, server string, opts Options) (*Org, error) {
	return nil, unsupported()
}

// Config implements Directory.
func (o *Org) Config() *Config { return o.now.Load().config }

// Watch returns a channel that has a value when the configuration changed since
// it was last read; it is closed when ctx ends or the Org is closed.
func (o *Org) Watch(ctx context.Context) <-chan struct{} { return nil }

// Close ends the watch. The directory stays open.
func (o *Org) Close() error { return nil }

type snapshot struct{ config *Config }
type cache struct{}

// Query selects what List hands out.
type Query struct {
	Kinds []RecipientKind // none: users, contacts and groups, with mail or without
	Match string          // beginning of a name, alias or address; "": all
	Limit int             // most recipients of a page; 0: no limit
	After string          // token of the page before
}
