package imap

import (
	"context"

	"rialto/internal/auth"
	"rialto/internal/model"
)

// Quotas is implemented by a StoreSet that knows how much a mailbox may hold.
type Quotas interface {
	// HardLimit returns the octets at which a mailbox takes no more; 0: no limit.
	HardLimit(ctx context.Context, acct *auth.Account) (octets int64, err error)
}

// room refuses, with KindQuota, what would fill the mailbox beyond its limit.
func (s *session) room(ctx context.Context, octets int64) error {
	q, ok := s.srv.Stores.(Quotas)
	if !ok {
		return nil
	}
	limit, err := q.HardLimit(ctx, s.acct)
	if err != nil || limit <= 0 {
		return err
	}
	v, err := s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		return err
	}
	for _, f := range folders {
		octets += f.Counts.Size
	}
	if octets > limit {
		return model.E("imap.quota", model.KindQuota, s.acct.Name, nil)
	}
	return nil
}
