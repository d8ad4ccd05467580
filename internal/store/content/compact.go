package content

import (
	"context"
	"encoding/binary"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// record is a live record of a segment, as its row tells.
type record struct {
	id  ID
	loc location
}

// dropSegments unlinks ended segments that no row refers to, after moving what
// is left in those that are mostly garbage.
func (s *Store) dropSegments(ctx context.Context, res *Collected) error {
	if s.app == nil {
		return nil
	}
	list, err := s.seg.List()
	if err != nil {
		return err
	}
	for _, f := range list {
		if s.app.growing(f.Number) {
			continue
		}
		live, size, err := s.liveRecords(ctx, f.Number)
		if err != nil {
			return err
		}
		if size*2 > f.Size {
			continue
		}
		all, err := s.move(ctx, live, res)
		if err != nil {
			return err
		}
		if !all {
			continue
		}
		if err := s.seg.Remove(f.Number); err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		s.open.forget(f.Number)
		res.Segments++
	}
	return nil
}

func (s *Store) liveRecords(ctx context.Context, seg uint64) (recs []record, size int64, err error) {
	it := s.db.Scan(ctx, kv.Range{Lower: segmentKey(seg, 0), Upper: segmentKey(seg+1, 0)})
	for it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) != 17 || len(v) != 13 {
			continue
		}
		loc := location{seg, int64(binary.BigEndian.Uint64(k[9:])), int64(binary.BigEndian.Uint32(v[8:]))}
		recs = append(recs, record{ID(binary.BigEndian.Uint64(v)), loc})
		size += loc.length
	}
	return recs, size, it.Close()
}

// move copies records into the growing segment and points their streams there.
// all is false if one of them is pinned or damaged: then the segment stays.
func (s *Store) move(ctx context.Context, recs []record, res *Collected) (all bool, err error) {
	all = true
	for _, r := range recs {
		marked := s.markDying([]ID{r.id})
		if len(marked) == 0 {
			all = false
			continue
		}
		err := s.moveOne(ctx, r)
		s.unmark(marked)
		switch {
		case model.IsKind(err, model.KindCorrupt), errors.Is(err, kv.ErrTooLarge):
			all = false // left where it is, for verify to find; the other segments go on
		case err != nil:
			return false, err
		default:
			res.Moved++
		}
	}
	return all, nil
}

func (s *Store) moveOne(ctx context.Context, r record) error {
	h, err := s.header(ctx, r.id)
	if errors.Is(err, kv.ErrNotFound) {
		h, err = &header{}, nil // a row without its stream goes
	}
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	b.Delete(segmentKey(r.loc.segment, r.loc.offset))
	for i, c := range h.chunks {
		if c != r.loc {
			continue
		}
		rec := make([]byte, c.length)
		if err := s.open.readAt(c, rec); err != nil {
			b.Close()
			return err
		}
		if _, _, _, err := checkRecord(rec, r.id, uint32(i)); err != nil {
			b.Close()
			return err // damaged: leave it where it is for verify to find
		}
		loc, err := s.app.add(rec)
		if err != nil {
			b.Close()
			return err
		}
		defer s.app.settle([]location{loc}, false)
		if err := s.app.sync([]location{loc}); err != nil {
			b.Close()
			return err
		}
		h.chunks[i] = loc
		v := binary.BigEndian.AppendUint64(nil, uint64(r.id))
		v = binary.BigEndian.AppendUint32(v, uint32(loc.length))
		b.Set(segmentKey(loc.segment, loc.offset), append(v, 1))
		b.Set(headerKey(r.id), h.encode())
	}
	return s.commit(ctx, b)
}
