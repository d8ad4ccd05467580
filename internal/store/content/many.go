package content

import (
	"bytes"
	"context"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Room holds the octets that the Readers of one goroutine read last, so that not
// each needs memory of its own. Reading from one Reader takes it from the others.
type Room struct {
	owner *Reader
	buf   []byte
}

// take returns room for n octets that r is about to read, nil for a reader with
// none to share.
func (m *Room) take(r *Reader, n int) []byte {
	if m == nil {
		return nil
	}
	m.owner = r
	if cap(m.buf) < n {
		m.buf = make([]byte, n+n/4)
	}
	return m.buf[:n]
}

// OpenMany is Open for several streams, in the order of ids; nil where the id is
// 0. The readers share room.
func (s *Store) OpenMany(ctx context.Context, r kv.Reader, ids []ID, room *Room) ([]*Reader, error) {
	keys := make([][]byte, 0, len(ids))
	nums := make([]uint64, 0, len(ids))
	for _, id := range ids {
		if id != 0 {
			keys, nums = append(keys, headerKey(id)), append(nums, uint64(id))
		}
	}
	vals, err := GetRun(ctx, r, nums, keys)
	if err != nil {
		return nil, err
	}
	out := make([]*Reader, len(ids))
	k := 0
	for i, id := range ids {
		if id == 0 {
			continue
		}
		raw := vals[k]
		if k++; raw == nil {
			return nil, model.E("content.open", model.KindCorrupt, "content is missing", kv.ErrNotFound)
		}
		h, err := decodeHeader(raw)
		if err != nil {
			return nil, err
		}
		out[i] = &Reader{s: s, r: s.db, ctx: ctx, id: id, h: h, chunk: -1, room: room}
	}
	return out, nil
}

// A run of numbered rows is read by one scan if it has that many, and few
// others between.
const (
	runLeast = 4
	runOver  = 2
)

// GetRun is r.GetMany for rows known by numbers: where those ascend and lie close
// together one scan is less work than many lookups.
func GetRun(ctx context.Context, r kv.Reader, nums []uint64, keys [][]byte) ([][]byte, error) {
	n := len(nums)
	if n < runLeast || nums[n-1] < nums[0] || nums[n-1]-nums[0] > uint64(runOver*n) {
		return r.GetMany(ctx, keys)
	}
	for i := 1; i < n; i++ {
		if nums[i] <= nums[i-1] {
			return r.GetMany(ctx, keys)
		}
	}
	out := make([][]byte, n)
	it := r.Scan(ctx, kv.Range{Lower: keys[0], Upper: append(bytes.Clone(keys[n-1]), 0)})
	for i := 0; it.Next(); {
		k := it.Key()
		for i < n && bytes.Compare(keys[i], k) < 0 {
			i++
		}
		if i < n && bytes.Equal(keys[i], k) {
			out[i] = append(make([]byte, 0, len(it.Value())), it.Value()...)
			i++
		}
	}
	return out, it.Close()
}
