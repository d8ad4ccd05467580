package imap

import (
	"context"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// status is STATUS (RFC 9051 6.3.11).
func (s *session) status(ctx context.Context) (reply, error) {
	a, err := wire.ReadStatus(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, a.Mailbox)
	if err != nil {
		return reply{}, err
	}
	if a.Items&wire.StatusHighestModSeq != 0 {
		s.condStore = true
	}
	return ok("STATUS completed"), s.statusLine(ctx, a.Mailbox, f, a.Items)
}

// statusLine writes a STATUS response from the folder's row. Only DELETED, which
// nothing counts, reads the items.
func (s *session) statusLine(ctx context.Context, name string, f *store.Folder, items wire.StatusItems) error {
	deleted := 0
	if items&wire.StatusDeleted != 0 {
		v, err := s.box.View(ctx)
		if err != nil {
			return err
		}
		err = v.Briefs(ctx, f.ID, 1, ^store.UID(0), func(st *store.Brief) bool {
			if st.Flags&store.DeletedMark != 0 {
				deleted++
			}
			return true
		})
		v.Close()
		if err != nil {
			return err
		}
	}
	s.w.Raw("* STATUS ")
	s.w.Mailbox(name)
	sep := " ("
	num := func(item wire.StatusItems, label string, n uint64) {
		if items&item != 0 {
			s.w.Raw(sep + label + " ")
			s.w.Number(n)
			sep = " "
		}
	}
	num(wire.StatusMessages, "MESSAGES", uint64(f.Counts.Total))
	num(wire.StatusRecent, "RECENT", 0)
	num(wire.StatusUIDNext, "UIDNEXT", uint64(f.Counts.NextUID))
	num(wire.StatusUIDValidity, "UIDVALIDITY", uint64(f.UIDValidity))
	num(wire.StatusUnseen, "UNSEEN", uint64(f.Counts.Unseen))
	num(wire.StatusDeleted, "DELETED", uint64(deleted))
	num(wire.StatusSize, "SIZE", uint64(f.Counts.Size))
	num(wire.StatusHighestModSeq, "HIGHESTMODSEQ", uint64(f.Counts.Seq))
	num(wire.StatusAppendLimit, "APPENDLIMIT", uint64(s.set.MaxMessage))
	if items&wire.StatusMailboxID != 0 {
		s.w.Raw(sep + "MAILBOXID (" + s.mailboxID(f.ID) + ")")
	}
	s.w.Raw(")")
	s.w.CRLF()
	return nil
}
