package store

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// spillValue is the largest value that stays in a property bag, in octets;
// larger ones become streams. A bag that is still too large gives up its
// largest values first.
const (
	spillValue = 8 << 10
	spillBag   = 64 << 10
	maxListed  = 32 << 10 // of a property that lists show
)

// spiller turns large values into streams.
type spiller struct {
	ctx    context.Context
	db     *Database
	staged []*content.Staged
}

// release frees what was staged; the item is stored or given up.
func (s *spiller) release() {
	for _, st := range s.staged {
		st.Release()
	}
}

// spill returns n with its large values as streams. n is not changed.
func (d *Database) spill(ctx context.Context, n *NewItem) (*NewItem, func(), error) {
	s := &spiller{ctx: ctx, db: d}
	out, err := s.item(n, 0)
	if err != nil {
		s.release()
		return nil, nil, err
	}
	return out, s.release, nil
}

func (d *Database) spillEdit(ctx context.Context, e *Edit) (*Edit, func(), error) {
	s := &spiller{ctx: ctx, db: d}
	out := *e
	var err error
	if out.Set, out.Streams, err = s.props(e.Set, e.Streams); err == nil && e.Derived != nil {
		out.Derived, err = s.item(e.Derived, 0)
	}
	if err == nil && len(e.Attach) > 0 {
		out.Attach = make(map[uint32]*Attachment, len(e.Attach))
		for n, a := range e.Attach {
			if a == nil {
				out.Attach[n] = nil
				continue
			}
			var c Attachment
			if c, err = s.attachment(*a, 0); err != nil {
				break
			}
			out.Attach[n] = &c
		}
	}
	if err != nil {
		s.release()
		return nil, nil, err
	}
	return &out, s.release, nil
}

func (s *spiller) item(n *NewItem, depth int) (*NewItem, error) {
	out := *n
	var err error
	if out.Props, out.Streams, err = s.props(n.Props, n.Streams); err != nil || depth > layout.MaxEmbedded {
		return &out, err
	}
	out.Attachments = make([]Attachment, len(n.Attachments))
	for i, a := range n.Attachments {
		if out.Attachments[i], err = s.attachment(a, depth); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

func (s *spiller) attachment(a Attachment, depth int) (Attachment, error) {
	var err error
	if b := a.Props.Binary(mapi.TagAttachDataBinary); len(b) > spillValue && a.Content == nil {
		if a.Content, err = s.stage(b); err != nil {
			return a, err
		}
		a.Props = without(a.Props, mapi.TagAttachDataBinary)
	}
	if a.Embedded != nil {
		a.Embedded, err = s.item(a.Embedded, depth+1)
	}
	return a, err
}

// props moves large values out of p into streams.
func (s *spiller) props(p mapi.Properties, streams []StreamValue) (mapi.Properties, []StreamValue, error) {
	total := 0
	for _, q := range p {
		total += valueSize(q.Value) + 8
	}
	out, copied := p, false
	for limit := spillValue; ; limit /= 2 {
		for _, q := range p {
			size := valueSize(q.Value)
			raw, ok := raw(q.Value)
			if !ok || size <= limit || isSummary(q.Tag.ID()) && size <= maxListed {
				continue
			}
			if _, still := out.Get(q.Tag); !still {
				continue
			}
			st, err := s.stage(raw)
			if err != nil {
				return nil, nil, err
			}
			if !copied {
				out, streams, copied = append(mapi.Properties(nil), p...), append([]StreamValue(nil), streams...), true
			}
			out.Delete(q.Tag)
			streams = append(streams, StreamValue{q.Tag, st})
			total -= size
		}
		if total <= spillBag || limit < 64 {
			return out, streams, nil
		}
	}
}

// raw returns the octets of a value that can be a stream.
func raw(v any) ([]byte, bool) {
	switch x := v.(type) {
	case string:
		return []byte(x), true
	case []byte:
		return x, true
	}
	return nil, false
}

func (s *spiller) stage(b []byte) (*content.Staged, error) {
	w := s.db.NewContent(s.ctx)
	if _, err := w.Write(b); err != nil {
		w.Abort()
		return nil, err
	}
	st, err := w.Finish(s.ctx)
	if err != nil {
		return nil, err
	}
	s.staged = append(s.staged, st)
	return st, nil
}

func without(p mapi.Properties, tag mapi.Tag) mapi.Properties {
	out := append(mapi.Properties(nil), p...)
	out.Delete(tag)
	return out
}
