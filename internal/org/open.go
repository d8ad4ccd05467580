package org

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// Options of an Org. Zero fields mean the defaults.
type Options struct {
	Clock    model.Clock   // time.Now
	Debounce time.Duration // from a change to reading the configuration again; 50 ms
	Cache    int           // recipients remembered; 10000
	Events   Events
}

// Events are what an Org tells of itself; nil callbacks are not called. Changed
// and Failed run on the goroutine of the watch, Odd wherever an entry is read;
// they should return soon.
type Events struct {
	Changed func(*Config)         // a new configuration is in force
	Failed  func(error)           // the directory could not be read; the old configuration stays
	Odd     func(dn, what string) // a value that says nothing; it is left out
}

// Org is the organization as the directory describes it, for one server. Safe
// for concurrent use.
type Org struct {
	dir    directory.Directory
	opts   Options
	server string // name or GUID as given to Open, the GUID from then on

	now  atomic.Pointer[snapshot]
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
	closed   bool

	cache cache
}

var _ Directory = (*Org)(nil)

// Open reads the organization as the server of that name (or objectGUID) sees
// it, and follows its changes until Close. KindNotFound if there is no
// organization, or no such server in it.
func Open(ctx context.Context, d directory.Directory, server string, opts Options) (*Org, error) {
	if opts.Debounce == 0 {
		opts.Debounce = 50 * time.Millisecond
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Cache == 0 {
		opts.Cache = 10000
	}
	o := &Org{dir: d, opts: opts, server: server, done: make(chan struct{}), watchers: map[chan struct{}]struct{}{}}
	o.cache.max = opts.Cache
	// Watching begins before reading, so that nothing falls between.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	changed := d.Watch(life)
	s, err := o.read(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	o.now.Store(s)
	o.server = s.config.Server.GUID.String() // it may be renamed
	o.stop = stop
	go o.follow(life, changed)
	return o, nil
}

// Config implements Directory.
func (o *Org) Config() *Config { return o.now.Load().config }

// Watch returns a channel that has a value when the configuration changed since
// it was last read; it is closed when ctx ends or the Org is closed.
func (o *Org) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		close(c)
		return c
	}
	o.watchers[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, ok := o.watchers[c]; ok {
			delete(o.watchers, c)
			close(c)
		}
	})
	return c
}

// Close ends the watch. The directory stays open.
func (o *Org) Close() error {
	o.stop()
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for c := range o.watchers {
		delete(o.watchers, c)
		close(c)
	}
	return nil
}

// follow reads the configuration again when something under the Exchange
// container changed. After a failure it tries again every second.
func (o *Org) follow(ctx context.Context, changed <-chan struct{}) {
	defer close(o.done)
	s := o.now.Load()
	at := directory.Cookie{Invocation: s.invocation, USN: s.config.USN}
	retry := false
	for {
		var again <-chan time.Time
		if retry {
			again = time.After(time.Second)
		}
		select {
		case _, ok := <-changed:
			if !ok {
				return
			}
		case <-again:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(o.opts.Debounce):
		case <-ctx.Done():
			return
		}
		next, err := o.catchUp(ctx, at, retry)
		if ctx.Err() != nil {
			return
		}
		if retry = err != nil; retry && o.opts.Events.Failed != nil {
			o.opts.Events.Failed(err)
		}
		at = next
	}
}

// catchUp reads the change feed from at and, where it or force demands it, the
// configuration. It returns where the feed was left.
func (o *Org) catchUp(ctx context.Context, at directory.Cookie, force bool) (directory.Cookie, error) {
	dirty := force
	config := o.dir.Root().Configuration
	next, complete, err := o.dir.Changes(ctx, directory.AsSystem, at, func(e *directory.Entry) error {
		dirty = dirty || inConfiguration(e, config)
		return nil
	})
	if err != nil {
		return at, err
	}
	if !dirty && complete {
		return next, nil
	}
	s, err := o.read(ctx)
	if err != nil {
		return at, err
	}
	o.now.Store(s)
	if o.opts.Events.Changed != nil {
		o.opts.Events.Changed(s.config)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return next, nil
}

// inConfiguration reports whether an entry is, or may have been, part of the
// organization's configuration.
func inConfiguration(e *directory.Entry, config string) bool {
	if e.Bool("isDeleted") {
		return hasSuffixFold(e.Text("lastKnownParent"), config) || hasSuffixFold(e.DN, config)
	}
	return hasSuffixFold(e.DN, exchangeContainer(config))
}

// exchangeContainer is the DN below which everything of Exchange stands in the
// configuration naming context.
func exchangeContainer(config string) string { return "CN=Microsoft Exchange,CN=Services," + config }

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// maxOdd is how much of an odd value is told.
const maxOdd = 200

// odd tells of a value that was left out. It may hold anything, so it is
// quoted where it would not print.
func (o *Org) odd(dn, what string) {
	if o.opts.Events.Odd == nil {
		return
	}
	what = what[:min(len(what), maxOdd)]
	if q := strconv.Quote(what); q[1:len(q)-1] != what {
		what = q
	}
	o.opts.Events.Odd(dn, what)
}

// unavailable turns every failure to read into KindUnavailable, except that the
// caller gave up: no answer about a recipient may look final when it is not.
func unavailable(op, object string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || model.IsKind(err, model.KindCanceled) {
		return model.E(op, model.KindCanceled, object, err)
	}
	return model.E(op, model.KindUnavailable, object, err)
}
