package content

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// recordName names a record of a segment.
type recordName struct {
	id    ID
	chunk uint32
}

// Repair makes the content of a database that nobody has open whole: every
// stream whose octets hold their checksums, wherever they are found, is kept;
// the others go. Records without a header are put together for the streams
// that need says are used, given their sizes. What finds streams is made anew.
// It returns the streams that are there afterwards.
func Repair(ctx context.Context, db kv.DB, need map[ID]int64) (map[ID]bool, error) {
	r := &repairer{ctx: ctx, db: db, found: map[recordName]location{}, have: map[ID]bool{}}
	var err error
	if r.codecs, err = newCodecs(); err != nil {
		return nil, err
	}
	if e, ok := db.(kv.Segmented); ok {
		r.seg = e.Segments()
		if err := r.scanSegments(); err != nil {
			return nil, err
		}
	}
	r.b = db.NewBatch()
	for _, space := range []byte{spaceHash, spaceSegment} {
		r.b.DeleteRange([]byte{space}, []byte{space + 1})
	}
	if err = r.headers(); err == nil {
		err = r.missing(need)
	}
	if err == nil {
		raw, e := db.Get(ctx, counterKey)
		if e != nil && !errors.Is(e, kv.ErrNotFound) {
			err = e
		} else if next := uint64(r.highest) + 1; len(raw) != 8 || binary.BigEndian.Uint64(raw) < next {
			r.b.Set(counterKey, binary.BigEndian.AppendUint64(nil, next+idBlock))
		}
	}
	if err == nil {
		err = r.flush(0)
	}
	r.b.Close()
	return r.have, err
}

type repairer struct {
	ctx     context.Context
	db      kv.DB
	seg     kv.Segments
	codecs  *codecs
	b       kv.Batch
	found   map[recordName]location
	have    map[ID]bool
	highest ID
}

func (r *repairer) flush(over int) error {
	if r.b.Size() < over {
		return nil
	}
	err := kv.CommitDurable(r.ctx, r.db, r.b)
	r.b = r.db.NewBatch()
	return err
}

// scanSegments finds every record that holds its checksum.
func (r *repairer) scanSegments() error {
	list, err := r.seg.List()
	if err != nil {
		return err
	}
	for _, f := range list {
		in, err := r.seg.Open(f.Number)
		if err != nil {
			return err
		}
		err = r.scanSegment(f, in)
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (r *repairer) scanSegment(f kv.SegmentInfo, in io.ReaderAt) error {
	buf := make([]byte, maxRecord)
	for at := int64(segmentHeader); at+recordHeader <= f.Size; {
		if at%4096 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		n := min(int64(len(buf)), f.Size-at)
		if got, err := in.ReadAt(buf[:n], at); int64(got) < n {
			if err == nil || errors.Is(err, io.EOF) {
				return nil
			}
			at += 4096 // a part of the disk that can not be read
			continue
		}
		skip := r.records(f.Number, at, buf[:n])
		at += int64(skip)
	}
	return nil
}

// records notes the records at the beginning of b, which is at an offset of a
// segment, and returns how far they go; at least 1.
func (r *repairer) records(segment uint64, at int64, b []byte) int {
	pos := 0
	for pos+recordHeader <= len(b) {
		h := b[pos:]
		n := recordHeader + int(binary.BigEndian.Uint32(h))
		if n > maxRecord || h[9] != 0 || h[8] >= byte(codecEnd) || binary.BigEndian.Uint32(h[22:]) > ChunkSize {
			pos++ // between records: the next may begin anywhere
			continue
		}
		if n > len(h) {
			if pos > 0 {
				return pos
			}
			return 1 // it would go beyond the end of the segment
		}
		id, chunk := ID(binary.BigEndian.Uint64(h[10:])), binary.BigEndian.Uint32(h[18:])
		if _, _, _, err := checkRecord(h[:n], id, chunk); err != nil {
			pos++
			continue
		}
		r.found[recordName{id, chunk}] = location{segment, at + int64(pos), int64(n)}
		r.highest = max(r.highest, id)
		pos += n
	}
	return max(pos, 1)
}

// headers keeps the streams that are whole.
func (r *repairer) headers() error {
	it := r.db.Scan(r.ctx, kv.Range{Lower: []byte{spaceHeader}, Upper: []byte{spaceHeader + 1}})
	for it.Next() {
		k := append([]byte(nil), it.Key()...)
		h, err := decodeHeader(it.Value())
		if len(k) != 9 {
			r.b.Delete(k)
			continue
		}
		id := ID(binary.BigEndian.Uint64(k[1:]))
		r.highest = max(r.highest, id)
		if err == nil {
			err = r.whole(id, h)
		}
		switch {
		case model.IsKind(err, model.KindCorrupt), errors.Is(err, kv.ErrNotFound):
			r.b.Delete(k)
		case err != nil:
			return errors.Join(err, it.Close())
		default:
			r.keep(id, h)
		}
		if err := r.flush(1 << 20); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

// whole checks a stream's octets, and finds those that are not where they were.
func (r *repairer) whole(id ID, h *header) error {
	if want := int((h.size + ChunkSize - 1) / ChunkSize); h.kind == kindSegments && len(h.chunks) != want {
		return model.E("content.repair", model.KindCorrupt, "content header", nil)
	}
	for i, c := range h.chunks {
		at, ok := r.found[recordName{id, uint32(i)}]
		if !ok {
			return model.E("content.repair", model.KindCorrupt, "segment record", nil)
		}
		if at != c {
			h.chunks[i] = at
		}
	}
	sum := sha256.New()
	if err := r.read(id, h, sum); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != h.hash {
		return model.E("content.repair", model.KindCorrupt, "hash", nil)
	}
	return nil
}

// read writes a stream's octets to w.
func (r *repairer) read(id ID, h *header, w io.Writer) error {
	s := &Store{db: r.db, codecs: r.codecs}
	if r.seg != nil {
		s.open = newOpenSegments(r.seg)
		defer s.open.close()
	}
	rd := &Reader{s: s, r: r.db, ctx: r.ctx, id: id, h: h, chunk: -1}
	return rd.WriteRange(w, 0, h.size)
}

// keep writes a stream's header and what finds it.
func (r *repairer) keep(id ID, h *header) {
	st := &Staged{ID: id, hash: h.hash, header: h}
	r.b.Set(headerKey(id), h.encode())
	r.b.Set(hashKey(h.hash), binary.BigEndian.AppendUint64(nil, uint64(id)))
	for i, c := range st.header.chunks {
		v := binary.BigEndian.AppendUint64(nil, uint64(id))
		v = binary.BigEndian.AppendUint32(v, uint32(c.length))
		r.b.Set(segmentKey(c.segment, c.offset), append(v, byte(min(i, 1))))
	}
	r.have[id] = true
}

// missing puts streams together whose header is lost.
func (r *repairer) missing(need map[ID]int64) error {
	for id, size := range need {
		if r.have[id] || size <= 0 || size > MaxSize {
			continue
		}
		h := &header{kind: kindSegments, size: size}
		n := int((size + ChunkSize - 1) / ChunkSize)
		for i := range n {
			at, ok := r.found[recordName{id, uint32(i)}]
			if !ok {
				break
			}
			h.chunks = append(h.chunks, at)
		}
		if r.seg == nil {
			h.kind, h.rows = kindRows, n
		} else if len(h.chunks) != n {
			continue
		}
		sum := sha256.New()
		if err := r.read(id, h, sum); err != nil {
			if model.IsKind(err, model.KindCorrupt) {
				continue
			}
			return err
		}
		h.hash = [sha256.Size]byte(sum.Sum(nil))
		r.keep(id, h)
		if err := r.flush(1 << 20); err != nil {
			return err
		}
	}
	return nil
}

// Refs calls fn with the keys of the references of a mailbox, and of those that
// are malformed.
func Refs(ctx context.Context, db kv.DB, mailbox uint32, fn func(key []byte)) error {
	it := db.Scan(ctx, kv.Range{Lower: []byte{spaceRef}, Upper: []byte{spaceRef + 1}})
	for it.Next() {
		if _, box, _, ok := ParseRef(it.Key()); !ok || box == mailbox {
			fn(it.Key())
		}
	}
	return it.Close()
}

// Candidates calls fn with the rows that make every stream one to look at for a
// collection, which finds out itself what is referred to.
func Candidates(ctx context.Context, db kv.DB, clock model.Clock, fn func(key, value []byte)) error {
	it := db.Scan(ctx, kv.Range{Lower: []byte{spaceHeader}, Upper: []byte{spaceHeader + 1}})
	for it.Next() {
		if k := it.Key(); len(k) == 9 {
			fn(idKey(spaceCandidate, ID(binary.BigEndian.Uint64(k[1:]))), binary.BigEndian.AppendUint64(nil, uint64(clock().Unix())))
		}
	}
	return it.Close()
}
