package imap

import (
	"context"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// A page of FETCH is what one view reads: so many messages, so many octets of
// envelopes, and fewer where bodies are opened.
const (
	pageItems  = 500
	pageStates = 2000 // where the state rows tell all
	pageBodies = 64
	pageOctets = 256 << 10
)

// plan is what a FETCH needs.
type plan struct {
	items    []wire.FetchItem
	envelope bool // summary rows
	preview  bool // their properties too
	streams  bool // stream rows
	bodies   bool // octets
	seen     bool // sets \Seen
	// Where \Seen is set, what was not asked for is told.
	sayFlags, sayModSeq bool
}

func (s *session) newPlan(items []wire.FetchItem, uid bool) (*plan, error) {
	p := &plan{sayFlags: true}
	hasUID, hasModSeq := false, false
	for _, it := range items {
		switch it.Kind {
		case wire.FetchUID:
			hasUID = true
		case wire.FetchModSeq:
			hasModSeq, s.condStore = true, true
		case wire.FetchFlags:
			p.sayFlags = false
		case wire.FetchEnvelope:
			p.envelope = true
		case wire.FetchPreview, wire.FetchThreadID:
			p.envelope, p.preview = true, true
		case wire.FetchBody, wire.FetchBodyStructure:
			p.streams = true
			// A message's envelope within is in the structure; the root's is not shown.
		case wire.FetchSection, wire.FetchRFC822, wire.FetchRFC822Header, wire.FetchRFC822Text:
			p.streams, p.bodies = true, true
			p.seen = p.seen || it.Kind == wire.FetchSection && !it.Peek || it.Kind == wire.FetchRFC822 || it.Kind == wire.FetchRFC822Text
		case wire.FetchBinary, wire.FetchBinarySize:
			return nil, model.E("imap.fetch", model.KindUnsupported, "BINARY is not offered", errNotHere)
		}
	}
	if uid && !hasUID {
		p.items = append(p.items, wire.FetchItem{Kind: wire.FetchUID})
	}
	p.items = append(p.items, items...)
	p.sayModSeq = s.condStore && !hasModSeq
	p.seen = p.seen && !s.sel.readOnly
	return p, nil
}

// fetchRow is a message of a page.
type fetchRow struct {
	i        int // position in the list
	state    store.Brief
	fresh    bool // flags were changed by this command
	env      span // in the page's octets
	preview  string
	thread   []byte
	stream   *store.Stream
	body     *store.Body
	parsed   *message.Structure
	parseErr error
}

// fetch is FETCH and UID FETCH (RFC 9051 6.4.5).
func (s *session) fetch(ctx context.Context, uid bool) (reply, error) {
	a, err := wire.ReadFetch(s.r)
	if err != nil {
		return reply{}, err
	}
	if a.HasChanged {
		s.condStore = true
		a.Items = append(a.Items, wire.FetchItem{Kind: wire.FetchModSeq})
	}
	if a.Vanished && (!s.qresync || !uid || !a.HasChanged) {
		return bad("VANISHED needs QRESYNC, UID FETCH and CHANGEDSINCE"), nil
	}
	p, err := s.newPlan(a.Items, uid)
	if err != nil {
		return reply{}, err
	}
	spans, err := s.messages(ctx, a.Set, uid)
	if err != nil {
		return reply{}, err
	}
	if a.Vanished {
		if err := s.fetchVanished(ctx, store.Seq(a.ChangedSince), a.Set); err != nil {
			return reply{}, err
		}
	}
	f := fetcher{s: s, plan: p, since: store.Seq(a.ChangedSince), all: !a.HasChanged}
	missing, err := f.run(ctx, spans)
	if err != nil {
		return reply{}, err
	}
	if missing {
		return reply{"OK", "EXPUNGEISSUED", "Some messages were expunged meanwhile"}, nil
	}
	return ok("FETCH completed"), nil
}

func (s *session) fetchVanished(ctx context.Context, since store.Seq, known wire.SeqSet) error {
	v, err := s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	p := s.newPage()
	err = s.vanishedSince(ctx, v, p, since, known)
	v.Close() // before the client is waited for
	s.send(p)
	return err
}

// fetcher runs a FETCH page by page. Its slices are used again for every page.
type fetcher struct {
	s     *session
	plan  *plan
	since store.Seq
	all   bool // no CHANGEDSINCE
	rows  []fetchRow
	octet []byte // envelopes of the page
	texts string // octet, for reading
	env   message.Envelope
	lines lines
	out   *page // responses made while a view is open
}

// envelope decodes the envelope of a row; it is valid until the next call.
func (f *fetcher) envelope(r *fetchRow) *message.Envelope {
	_ = f.env.Decode(f.texts[r.env.lo:r.env.hi]) // empty where there is none
	return &f.env
}

// run answers for all spans. missing says that some messages are gone.
func (f *fetcher) run(ctx context.Context, spans []span) (missing bool, err error) {
	size := pageItems
	switch {
	case f.plan.streams:
		size = pageBodies
	case !f.plan.envelope:
		size = pageStates
	}
	for len(spans) > 0 {
		if err := ctx.Err(); err != nil {
			return missing, err
		}
		var page []span
		page, spans = take(spans, size)
		if !f.plan.envelope && !f.plan.streams {
			gone, err := f.states(ctx, page)
			if err == nil {
				err = f.s.w.Err()
			}
			if err != nil {
				return missing, err
			}
			missing = missing || gone
			continue
		}
		rest, gone, err := f.page(ctx, page)
		if err != nil {
			return missing, err
		}
		missing = missing || gone
		if len(rest) > 0 {
			spans = merge(append(rest, spans...))
		}
		for i := range f.rows {
			if err := f.s.fetchLine(f.s.w, f, &f.rows[i]); err != nil {
				return missing, err
			}
		}
		if err := f.s.w.Err(); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// states answers what the state rows tell, straight into memory.
func (f *fetcher) states(ctx context.Context, spans []span) (missing bool, err error) {
	v, err := f.s.box.View(ctx)
	if err != nil {
		return false, err
	}
	defer v.Close()
	if f.out == nil {
		f.out = f.s.newPage()
	}
	var r fetchRow
	seen := 0
	err = f.s.sel.states(ctx, v, spans, func(i int, st *store.Brief) bool {
		seen++
		if f.all || st.Seq > f.since {
			r.i, r.state = i, *st
			_ = f.s.fetchLine(f.out.Writer, f, &r) // fails on octets only, and there are none
		}
		return true
	})
	v.Close() // before the client is waited for
	f.s.send(f.out)
	f.out.buf.Reset()
	return seen < total(spans), err
}

// page reads the rows of spans. rest is what did not fit.
func (f *fetcher) page(ctx context.Context, spans []span) (rest []span, missing bool, err error) {
	v, err := f.s.box.View(ctx)
	if err != nil {
		return nil, false, err
	}
	defer func() { v.Close() }()
	sel, asked := f.s.sel, total(spans)
	f.rows, f.octet = f.rows[:0], f.octet[:0]
	seen := 0
	unread := store.UIDSet(nil)
	err = sel.states(ctx, v, spans, func(i int, st *store.Brief) bool {
		seen++
		if !f.all && st.Seq <= f.since {
			return true
		}
		f.rows = append(f.rows, fetchRow{i: i, state: *st})
		if f.plan.seen && st.Flags&store.Read == 0 {
			unread = append(unread, store.UIDRange{From: st.UID, To: st.UID})
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	missing = seen < asked
	if len(unread) > 0 {
		v.Close()
		if err := f.markRead(ctx, unread); err != nil {
			return nil, false, err
		}
		if v, err = f.s.box.View(ctx); err != nil {
			return nil, false, err
		}
	}
	if f.plan.envelope {
		if rest, err = f.summaries(ctx, v); err != nil {
			return nil, false, err
		}
	}
	if f.plan.streams {
		err = f.streams(ctx, v)
	}
	return rest, missing, err
}

// markRead sets \Seen on what is about to be read.
func (f *fetcher) markRead(ctx context.Context, unread store.UIDSet) error {
	res, err := f.s.box.SetFlags(ctx, f.s.sel.folder, unread, store.FlagChange{Set: store.Read})
	if err != nil {
		return err
	}
	f.s.sel.remember(res.States)
	k := 0
	for _, st := range res.States {
		for k < len(f.rows) && f.rows[k].state.UID < st.UID() {
			k++
		}
		if k < len(f.rows) && f.rows[k].state.UID == st.UID() {
			f.rows[k].state, f.rows[k].fresh = st.Brief(), true
		}
	}
	return nil
}

// summaries reads the envelopes of the page until its octets are full; the rows
// beyond are taken off it and returned as rest.
func (f *fetcher) summaries(ctx context.Context, v *store.View) (rest []span, err error) {
	k := 0
	var bad error
	err = f.s.sel.summaries(ctx, v, f.spans(0), func(i int, row *store.Row) bool {
		for k < len(f.rows) && f.rows[k].i < i {
			k++
		}
		if k == len(f.rows) || f.rows[k].i != i {
			return true
		}
		if len(f.octet) > pageOctets {
			return false
		}
		r := &f.rows[k]
		k++
		r.env = span{len(f.octet), len(f.octet) + len(row.Envelope)}
		f.octet = append(f.octet, row.Envelope...)
		if f.plan.preview {
			bad = r.properties(row)
		}
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	f.texts = string(f.octet)
	if k < len(f.rows) && len(f.octet) > pageOctets {
		rest = f.spans(k)
		f.rows = f.rows[:k]
	}
	return rest, nil
}

// spans returns the positions of the rows from k on.
func (f *fetcher) spans(k int) []span {
	out := make([]span, 0, 1)
	for _, r := range f.rows[k:] {
		if n := len(out); n > 0 && out[n-1].hi == r.i {
			out[n-1].hi++
			continue
		}
		out = append(out, span{r.i, r.i + 1})
	}
	return out
}

// streams reads the stream rows of the page and opens the octets.
func (f *fetcher) streams(ctx context.Context, v *store.View) error {
	ids := make([]store.RowID, len(f.rows))
	for i := range f.rows {
		ids[i] = f.rows[i].state.Row
	}
	streams, err := v.Streams(ctx, ids)
	if err != nil {
		return err
	}
	for i, st := range streams {
		f.rows[i].stream = st
	}
	if !f.plan.bodies {
		return nil
	}
	bodies, err := v.Bodies(ctx, streams)
	if err != nil {
		return err
	}
	for i, b := range bodies {
		f.rows[i].body = b
	}
	return nil
}
