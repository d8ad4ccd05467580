package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// The key spaces of this package begin and end with these octets, but for
// 08 and 09, which belong to package store.
const (
	FirstSpace = spaceHeader
	LastSpace  = spaceCandidate
)

// HeaderKey and RefKey are the keys of a stream and of a row's reference to it.
func HeaderKey(id ID) []byte                          { return headerKey(id) }
func RefKey(id ID, mailbox uint32, row uint64) []byte { return refKey(id, mailbox, row) }

// ParseRef reads the key of a reference.
func ParseRef(key []byte) (id ID, mailbox uint32, row uint64, ok bool) {
	if len(key) != 19 || key[0] != spaceRef {
		return 0, 0, 0, false
	}
	row = uint64(binary.BigEndian.Uint16(key[13:]))<<32 | uint64(binary.BigEndian.Uint32(key[15:]))
	return ID(binary.BigEndian.Uint64(key[1:])), binary.BigEndian.Uint32(key[9:]), row, true
}

// CheckRow compares a row of the content spaces with the others that r has: ""
// if they agree, else what is wrong. References are package store's to check.
func (s *Store) CheckRow(ctx context.Context, r kv.Reader, key, value []byte) (problem string, err error) {
	switch {
	case key[0] == spaceHeader && len(key) == 9:
		return s.checkHeader(ctx, r, ID(binary.BigEndian.Uint64(key[1:])), value)
	case key[0] == spaceHash && len(key) == 33 && len(value) == 8:
		h, why, err := checkedHeader(ctx, r, ID(binary.BigEndian.Uint64(value)))
		if h != nil && !bytes.Equal(h.hash[:], key[1:]) {
			why = "has another hash"
		}
		return why, err
	case key[0] == spaceChunk && len(key) == 13:
		h, _, err := checkedHeader(ctx, r, ID(binary.BigEndian.Uint64(key[1:])))
		if h != nil && (h.kind != kindRows || binary.BigEndian.Uint32(key[9:]) >= uint32(h.rows)) {
			return "chunk that its stream does not have", nil
		}
		return "", err // without a header: of a stream that was never ended
	case key[0] == spaceSegment && len(key) == 17 && len(value) == 13:
		loc := location{binary.BigEndian.Uint64(key[1:]), int64(binary.BigEndian.Uint64(key[9:])), int64(binary.BigEndian.Uint32(value[8:]))}
		h, why, err := checkedHeader(ctx, r, ID(binary.BigEndian.Uint64(value)))
		if h != nil {
			why = "record that its stream does not have"
			for _, c := range h.chunks {
				if c == loc {
					why = ""
				}
			}
		}
		return why, err
	case key[0] == spaceCandidate && len(key) == 9 && len(value) == 8:
		return "", nil
	}
	return "malformed content row", nil
}

// checkedHeader reads a header that some row says there is.
func checkedHeader(ctx context.Context, r kv.Reader, id ID) (*header, string, error) {
	vals, err := r.GetMany(ctx, [][]byte{headerKey(id)})
	if err != nil {
		return nil, "", err
	}
	if vals[0] == nil {
		return nil, fmt.Sprintf("content %d does not exist", id), nil
	}
	h, err := decodeHeader(vals[0])
	if err != nil {
		return nil, "", nil // found at the header itself
	}
	return h, "", nil
}

func (s *Store) checkHeader(ctx context.Context, r kv.Reader, id ID, value []byte) (string, error) {
	h, err := decodeHeader(value)
	if err != nil {
		return err.Error(), nil
	}
	var keys [][]byte
	for _, c := range h.chunks {
		keys = append(keys, segmentKey(c.segment, c.offset))
	}
	if h.kind == kindRows && h.rows > 0 {
		keys = append(keys, chunkKey(id, 0), chunkKey(id, uint32(h.rows-1)))
	}
	vals, err := r.GetMany(ctx, append(keys, idKey(spaceCandidate, id)))
	if err != nil {
		return "", err
	}
	for i := range keys {
		if v := vals[i]; v == nil || h.kind == kindSegments && (len(v) != 13 || ID(binary.BigEndian.Uint64(v)) != id || int64(binary.BigEndian.Uint32(v[8:])) != h.chunks[i].length) {
			return fmt.Sprintf("chunk %d of the content is not where its header says", i), nil
		}
	}
	if vals[len(keys)] != nil {
		return "", nil
	}
	it := r.Scan(ctx, kv.Range{Lower: idKey(spaceRef, id), Upper: idKey(spaceRef, id+1), Limit: 1})
	used := it.Next()
	if err := it.Close(); err != nil || used {
		return "", err
	}
	return "nothing refers to the content, and it would never be collected", nil
}

// CheckOctets reads a stream and compares its hash. Those of a stream that has
// been collected meanwhile are not missed.
func (s *Store) CheckOctets(ctx context.Context, r kv.Reader, id ID) error {
	rd, err := s.Open(ctx, r, id)
	if err != nil {
		return err
	}
	h := sha256.New()
	if err := rd.WriteRange(h, 0, rd.Size()); err != nil {
		if _, gone := s.db.Get(ctx, headerKey(id)); errors.Is(gone, kv.ErrNotFound) && r != kv.Reader(s.db) {
			return nil
		}
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != rd.h.hash {
		return model.E("content.check", model.KindCorrupt, "hash", errors.New("octets changed"))
	}
	return nil
}
