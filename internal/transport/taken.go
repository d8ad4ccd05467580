package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
)

// taken is which messages of a database's outbox this transport has ever queued.
// A database that comes back from a backup brings an outbox of then, and what
// has been queued since is not queued again. Ids come in order and are not given
// twice, so it is a few spans.
type taken struct{ spans []span } // in order, not touching

// span is the ids from first to last.
type span struct{ first, last uint64 }

const (
	takenVersion = 1
	// maxSpans bounds a row. The lowest are forgotten first: what they held would
	// be sent twice if a backup that old came back, but nothing is lost.
	maxSpans = 4096
)

// at returns the index of the first span that ends at id or later.
func (t *taken) at(id uint64) int {
	i, _ := slices.BinarySearchFunc(t.spans, id, func(s span, id uint64) int {
		if s.last < id {
			return -1
		}
		return 1
	})
	return i
}

func (t *taken) has(id uint64) bool {
	i := t.at(id)
	return i < len(t.spans) && t.spans[i].first <= id
}

func (t *taken) add(id uint64) {
	if t.has(id) {
		return
	}
	i := t.at(id)
	before := i > 0 && t.spans[i-1].last == id-1
	after := i < len(t.spans) && t.spans[i].first == id+1
	switch {
	case before && after:
		t.spans[i-1].last = t.spans[i].last
		t.spans = slices.Delete(t.spans, i, i+1)
	case before:
		t.spans[i-1].last = id
	case after:
		t.spans[i].first = id
	default:
		t.spans = slices.Insert(t.spans, i, span{id, id})
	}
	if n := len(t.spans) - maxSpans; n > 0 {
		t.spans = slices.Delete(t.spans, 0, n)
	}
}

// encode returns a version byte, then for each span its distance from the one
// before and its length.
func (t *taken) encode() []byte {
	b, end := []byte{takenVersion}, uint64(0)
	for _, s := range t.spans {
		b = binary.AppendUvarint(binary.AppendUvarint(b, s.first-end), s.last-s.first)
		end = s.last
	}
	return b
}

func decodeTaken(v []byte) (*taken, error) {
	d := row.Reader{B: v}
	t := &taken{}
	d.Bad = d.Byte() != takenVersion
	for end := uint64(0); len(d.B) > 0 && !d.Bad; {
		gap, more := d.Uvarint(), d.Uvarint()
		s := span{end + gap, end + gap + more}
		// Spans that touch would be one; the first has only to be in order.
		if s.first < end || s.last < s.first || len(t.spans) > 0 && gap < 2 || len(t.spans) == maxSpans {
			d.Bad = true
		}
		t.spans, end = append(t.spans, s), s.last
	}
	if d.Bad {
		return nil, model.E("transport.outbox", model.KindCorrupt, "what was queued of an outbox", nil)
	}
	return t, nil
}

func takenKey(db model.GUID) []byte { return append([]byte{spaceTaken}, db[:]...) }

// readTaken returns what was queued of a database's outbox. A row that can not be
// read is as good as none.
func (t *Transport) readTaken(ctx context.Context, db model.GUID) (*taken, error) {
	v, err := t.queue.db.Get(ctx, takenKey(db))
	if errors.Is(err, kv.ErrNotFound) {
		return &taken{}, nil
	}
	if err != nil {
		return nil, queueError("transport.outbox", err)
	}
	out, err := decodeTaken(v)
	if err != nil {
		t.opt.Log.Warn("it is not known what was sent of an outbox", "store", db, "err", err)
		return &taken{}, nil
	}
	return out, nil
}
