package imap

import (
	"context"
	"slices"

	"rialto/internal/message"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// search is SEARCH and UID SEARCH (RFC 9051 6.4.4, RFC 3501 6.4.4).
func (s *session) search(ctx context.Context, uid bool) (reply, error) {
	a, err := wire.ReadSearch(s.r)
	if err != nil {
		return reply{}, err
	}
	if err := s.load(ctx); err != nil {
		return reply{}, err
	}
	c := compiler{sel: s.sel, charset: a.Charset, incarnation: s.incarnation}
	k, err := c.compile(&a.Key)
	if err == errCharset {
		return no("BADCHARSET (US-ASCII UTF-8)", "Unknown charset"), nil
	}
	if err != nil {
		return reply{}, err
	}
	s.condStore = s.condStore || c.modSeq
	if err := k.consult(ctx, s.srv.Index, s.box); err != nil {
		return reply{}, err
	}
	f := finder{s: s, key: k}
	if err := f.run(ctx); err != nil {
		return reply{}, err
	}
	if a.Extended && a.Return&wire.ReturnSave != 0 {
		s.sel.saved = f.uids()
	}
	if a.Extended || s.rev2 {
		s.extendedResult(&a, &f, uid, c.modSeq)
	} else {
		s.plainResult(&f, uid, c.modSeq)
	}
	return ok("SEARCH completed"), nil
}

// plainResult writes * SEARCH.
func (s *session) plainResult(f *finder, uid, modSeq bool) {
	s.w.Raw("* SEARCH")
	for _, i := range f.found {
		s.w.SP()
		s.w.Number(uint64(f.number(i, uid)))
	}
	if modSeq && len(f.found) > 0 {
		s.w.Raw(" (MODSEQ ")
		s.w.Number(uint64(f.highest))
		s.w.Byte(')')
	}
	s.w.CRLF()
}

// extendedResult writes * ESEARCH (RFC 9051 7.3.4).
func (s *session) extendedResult(a *wire.Search, f *finder, uid, modSeq bool) {
	want := a.Return
	if !a.Extended {
		want = wire.ReturnAll
	}
	if want == wire.ReturnSave {
		return
	}
	w := s.w
	w.Raw("* ESEARCH (TAG ")
	w.String(s.tag)
	w.Byte(')')
	if uid {
		w.Raw(" UID")
	}
	if n := len(f.found); n > 0 {
		if want&wire.ReturnMin != 0 {
			w.Raw(" MIN ")
			w.Number(uint64(f.number(f.found[0], uid)))
		}
		if want&wire.ReturnMax != 0 {
			w.Raw(" MAX ")
			w.Number(uint64(f.number(f.found[n-1], uid)))
		}
		if want&wire.ReturnAll != 0 {
			var set wire.SeqSet
			for _, i := range f.found {
				set.Add(f.number(i, uid))
			}
			w.Raw(" ALL ")
			w.SeqSet(set)
		}
	}
	if want&wire.ReturnCount != 0 {
		w.Raw(" COUNT ")
		w.Number(uint64(len(f.found)))
	}
	if modSeq && len(f.found) > 0 {
		w.Raw(" MODSEQ ")
		w.Number(uint64(f.highest))
	}
	w.CRLF()
}

// finder evaluates a search page by page: first from the state rows, then, for
// the messages that these do not decide, from the summary rows, then from the
// octets.
type finder struct {
	s       *session
	key     *key
	found   []int // positions, ascending
	highest store.Seq
	rows    []store.Brief
	pos     []int
	room    []byte // for reading texts
	env     message.Envelope
}

func (f *finder) number(i int, uid bool) uint32 {
	if uid {
		return uint32(f.s.sel.uids[i])
	}
	return uint32(i) + 1
}

func (f *finder) uids() []store.UID {
	out := make([]store.UID, len(f.found))
	for k, i := range f.found {
		out[k] = f.s.sel.uids[i]
	}
	return out
}

func (f *finder) run(ctx context.Context) error {
	spans := f.key.scope(f.s.sel)
	for len(spans) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var page []span
		page, spans = take(spans, pageStates)
		if err := f.page(ctx, page); err != nil {
			return err
		}
	}
	slices.Sort(f.found)
	return nil
}

func (f *finder) hit(i int, st *store.Brief) {
	f.found = append(f.found, i)
	if st != nil {
		f.highest = max(f.highest, st.Seq)
	}
}

// page evaluates the messages of spans.
func (f *finder) page(ctx context.Context, spans []span) error {
	v, err := f.s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	f.rows, f.pos = f.rows[:0], f.pos[:0]
	if f.key.level() == levelSummary && !f.key.usesState() && !f.key.usesIndex() {
		return f.onlySummary(ctx, v, spans)
	}
	c := candidate{level: levelState}
	err = f.s.sel.states(ctx, v, spans, func(i int, st *store.Brief) bool {
		c.i, c.state = i, st
		switch f.key.eval(&c) {
		case yes:
			f.hit(i, st)
		case unknown:
			f.rows, f.pos = append(f.rows, *st), append(f.pos, i)
		}
		return true
	})
	if err != nil || len(f.rows) == 0 {
		return err
	}
	if err := f.bySummary(ctx, v); err != nil || len(f.rows) == 0 {
		return err
	}
	return f.byBody(ctx, v)
}

// onlySummary evaluates keys that ask for nothing but envelopes.
func (f *finder) onlySummary(ctx context.Context, v *store.View, spans []span) error {
	c := candidate{level: levelSummary}
	return f.s.sel.summaries(ctx, v, spans, func(i int, row *store.Row) bool {
		c.i, c.env = i, f.envelope(row.Envelope)
		if f.key.eval(&c) == yes {
			f.hit(i, nil)
		}
		return true
	})
}

// envelope decodes an envelope, which is valid until the next call; an item that
// did not come as MIME has an empty one.
func (f *finder) envelope(b []byte) *message.Envelope {
	_ = f.env.Decode(string(b))
	return &f.env
}

// bySummary decides what envelopes decide, and leaves the rest in rows.
func (f *finder) bySummary(ctx context.Context, v *store.View) error {
	rows, pos := f.rows, f.pos
	f.rows, f.pos = f.rows[:0], f.pos[:0]
	k := 0
	c := candidate{level: levelSummary}
	return f.s.sel.summaries(ctx, v, positionSpans(pos), func(i int, row *store.Row) bool {
		for k < len(pos) && pos[k] < i {
			k++
		}
		if k == len(pos) || pos[k] != i {
			return true
		}
		c.i, c.state, c.env = i, &rows[k], f.envelope(row.Envelope)
		k++
		switch f.key.eval(&c) {
		case yes:
			f.hit(i, c.state)
		case unknown: // never more rows than were read from the same slices
			f.rows, f.pos = append(f.rows, *c.state), append(f.pos, i)
		}
		return true
	})
}

func positionSpans(pos []int) []span {
	out := make([]span, len(pos))
	for k, i := range pos {
		out[k] = span{i, i + 1}
	}
	return merge(out)
}

// byBody decides the rest from header and text. Octets outlive the view, which
// is closed before they are read.
func (f *finder) byBody(ctx context.Context, v *store.View) error {
	for k := 0; k < len(f.rows); k += pageBodies {
		if k > 0 {
			next, err := f.s.box.View(ctx)
			if err != nil {
				return err
			}
			v = next
		}
		n := min(k+pageBodies, len(f.rows))
		err := f.bodies(ctx, v, f.rows[k:n], f.pos[k:n])
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) bodies(ctx context.Context, v *store.View, rows []store.Brief, pos []int) error {
	page := make([]fetchRow, len(rows))
	spans := make([]span, len(rows))
	for i := range rows {
		page[i].i, page[i].state = pos[i], rows[i]
		spans[i] = span{pos[i], pos[i] + 1}
	}
	ft := fetcher{s: f.s, plan: &plan{envelope: true, streams: true, bodies: true}, rows: page}
	rest, err := ft.summaries(ctx, v)
	if err == nil {
		err = ft.streams(ctx, v)
	}
	v.Close()
	if err != nil {
		return err
	}
	for i := range ft.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := &ft.rows[i]
		if r.body == nil {
			continue
		}
		if err := f.decide(r, ft.octet[r.env.lo:r.env.hi]); err != nil {
			return err
		}
	}
	if len(rest) > 0 { // envelopes of uncommon size: once more for those
		next, err := f.s.box.View(ctx)
		if err != nil {
			return err
		}
		k := len(ft.rows)
		return f.bodies(ctx, next, rows[k:], pos[k:])
	}
	return nil
}

// decide evaluates one message with everything at hand.
func (f *finder) decide(r *fetchRow, envelope []byte) error {
	c := candidate{level: levelBody, i: r.i, state: &r.state, env: f.envelope(envelope), row: r, room: &f.room}
	if f.key.eval(&c) == yes {
		f.hit(r.i, &r.state)
	}
	return c.err
}
