package content

import (
	"context"
	"encoding/binary"
	"errors"

	"rialto/internal/kv"
)

// Collected says what a collection did.
type Collected struct {
	Looked   int   // candidates looked at
	Removed  int   // streams dropped
	Freed    int64 // stored octets of those, logical
	Segments int   // segments unlinked
	Moved    int   // records copied out of segments that were mostly garbage
}

// collectChunk is how many candidates one batch handles.
const collectChunk = 256

// Collect drops streams that nothing has referred to for the grace time, and
// the segments that hold nothing else. It can be canceled at any point and run
// again with the same result.
func (s *Store) Collect(ctx context.Context) (Collected, error) {
	res, err := s.collect(ctx)
	return res, Wrap("content.collect", "content", err)
}

func (s *Store) collect(ctx context.Context) (Collected, error) {
	var res Collected
	s.collecting.Lock()
	defer s.collecting.Unlock()
	cutoff := uint64(s.opt.Clock().Add(-s.opt.Grace).Unix())
	from := []byte{spaceCandidate}
	for {
		ids, next, err := s.candidates(ctx, from, cutoff, &res)
		if err != nil {
			return res, err
		}
		if err := s.drop(ctx, ids, &res); err != nil {
			return res, err
		}
		if next == nil {
			break
		}
		from = next
	}
	return res, s.dropSegments(ctx, &res)
}

// candidates reads up to collectChunk candidates that are old enough.
func (s *Store) candidates(ctx context.Context, from []byte, cutoff uint64, res *Collected) (ids []ID, next []byte, err error) {
	it := s.db.Scan(ctx, kv.Range{Lower: from, Upper: []byte{spaceCandidate + 1}, Limit: collectChunk})
	n := 0
	for it.Next() {
		n++
		next = append(append(next[:0], it.Key()...), 0)
		if len(it.Key()) == 9 && len(it.Value()) == 8 && binary.BigEndian.Uint64(it.Value()) <= cutoff {
			ids = append(ids, ID(binary.BigEndian.Uint64(it.Key()[1:])))
		}
	}
	res.Looked += n
	if n < collectChunk {
		next = nil
	}
	return ids, next, it.Close()
}

// drop removes those of ids that have no reference, and the candidate rows of
// all that are decided.
func (s *Store) drop(ctx context.Context, ids []ID, res *Collected) error {
	if len(ids) == 0 {
		return nil
	}
	marked := s.markDying(ids)
	defer s.unmark(marked)
	for rest := marked; len(rest) > 0; {
		n, err := s.dropSome(ctx, rest, res)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return ctx.Err()
}

// dropSome does as many of ids as one batch holds, at least one, and returns
// how many. A large stream has a row for each of its chunks.
func (s *Store) dropSome(ctx context.Context, ids []ID, res *Collected) (n int, err error) {
	b := s.db.NewBatch()
	b.Reclaim()
	var done Collected
	var kept []ID
	for n < len(ids) && b.Size() < kv.MaxBatch/2 {
		id := ids[n]
		n++
		used, err := s.referenced(ctx, id)
		if err != nil {
			b.Close()
			return 0, err
		}
		b.Delete(idKey(spaceCandidate, id))
		if used {
			kept = append(kept, id)
			continue
		}
		if err := s.dropStream(ctx, b, id, &done); err != nil {
			b.Close()
			return 0, err
		}
	}
	if err := s.commit(ctx, b); err != nil {
		return 0, err
	}
	res.Removed += done.Removed
	res.Freed += done.Freed
	return n, s.lookAgain(ctx, kept)
}

// lookAgain makes those of ids candidates again that have lost their last
// reference since it was looked for: the note of that may have been deleted with
// the old one.
func (s *Store) lookAgain(ctx context.Context, ids []ID) error {
	b := s.db.NewBatch()
	now := binary.BigEndian.AppendUint64(nil, uint64(s.opt.Clock().Unix()))
	for _, id := range ids {
		used, err := s.referenced(ctx, id)
		if err != nil {
			b.Close()
			return err
		}
		if !used {
			b.Set(idKey(spaceCandidate, id), now)
		}
	}
	if b.Size() == 0 {
		b.Close()
		return nil
	}
	return s.commit(ctx, b)
}

func (s *Store) markDying(ids []ID) (marked []ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.pins[id] == 0 {
			s.dying[id] = true
			marked = append(marked, id)
		}
	}
	return marked
}

func (s *Store) unmark(ids []ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.dying, id)
	}
	if s.decided != nil {
		close(s.decided)
		s.decided = nil
	}
}

func (s *Store) referenced(ctx context.Context, id ID) (bool, error) {
	it := s.db.Scan(ctx, kv.Range{Lower: idKey(spaceRef, id), Upper: idKey(spaceRef, id+1), Limit: 1})
	used := it.Next()
	return used, it.Close()
}

func (s *Store) dropStream(ctx context.Context, b kv.Batch, id ID, res *Collected) error {
	raw, err := s.db.Get(ctx, headerKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := decodeHeader(raw)
	if err != nil {
		return nil // damaged, and in nobody's way: left for whoever looks into it
	}
	b.Delete(headerKey(id))
	if cur, err := s.db.Get(ctx, hashKey(h.hash)); err == nil && len(cur) == 8 && ID(binary.BigEndian.Uint64(cur)) == id {
		b.Delete(hashKey(h.hash))
	}
	for _, c := range h.chunks {
		b.Delete(segmentKey(c.segment, c.offset))
	}
	if h.kind == kindRows {
		b.DeleteRange(chunkKey(id, 0), idKey(spaceChunk, id+1))
	}
	res.Removed++
	res.Freed += h.size
	return nil
}
