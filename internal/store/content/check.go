package content

import (
	"context"
	"crypto/sha256"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Check verifies that a stream exists and that a row's reference to it does.
// With deep it reads the stream and compares its hash.
func (s *Store) Check(ctx context.Context, r kv.Reader, id ID, mailbox uint32, row uint64, deep bool) error {
	if _, err := r.Get(ctx, refKey(id, mailbox, row)); err != nil {
		return model.E("content.check", model.KindCorrupt, "reference", err)
	}
	rd, err := s.Open(ctx, r, id)
	if err != nil || !deep {
		return err
	}
	h := sha256.New()
	if err := rd.WriteRange(h, 0, rd.Size()); err != nil {
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != rd.h.hash {
		return model.E("content.check", model.KindCorrupt, "hash", errors.New("octets changed"))
	}
	return nil
}
