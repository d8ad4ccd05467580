package imap

import (
	"context"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// selectFolder is SELECT and EXAMINE (RFC 9051 6.3.2): one folder row answers it,
// however many messages there are.
func (s *session) selectFolder(ctx context.Context, readOnly bool) (reply, error) {
	a, err := wire.ReadSelect(s.r)
	if err != nil {
		return reply{}, err
	}
	if a.QResync != nil && !s.qresync {
		return bad("QRESYNC was not enabled"), nil
	}
	if s.sel != nil {
		s.leave()
	}
	// The subscription is older than the view, so that no change falls between.
	if s.sub == nil {
		s.sub = s.box.Subscribe()
	}
	p := s.newPage()
	err = s.withFolder(ctx, a.Mailbox, func(v *store.View, f *store.Folder) error {
		s.condStore = s.condStore || a.CondStore
		s.sel = newSelected(f, readOnly)
		s.describe(a.Mailbox, f)
		if a.QResync != nil && a.QResync.UIDValidity == f.UIDValidity {
			return s.resync(ctx, v, p, store.Seq(a.QResync.ModSeq), a.QResync.Known)
		}
		return nil
	})
	if err != nil {
		s.sel = nil
		return reply{}, err
	}
	s.send(p)
	if readOnly {
		return reply{"OK", "READ-ONLY", "EXAMINE completed"}, nil
	}
	return reply{"OK", "READ-WRITE", "SELECT completed"}, nil
}

// describe writes what SELECT says of a folder. It fits the writer's buffer, so
// no view waits for the client.
func (s *session) describe(name string, f *store.Folder) {
	const flags = `\Answered \Flagged \Deleted \Seen \Draft $Forwarded $MDNSent`
	w := s.w
	w.Raw("* FLAGS (" + flags + ")\r\n* ")
	w.Number(uint64(f.Counts.Total))
	w.Raw(" EXISTS\r\n")
	if !s.rev2 {
		w.Raw("* 0 RECENT\r\n")
	}
	permanent := "()"
	if !s.sel.readOnly {
		permanent = "(" + flags + ` \*)`
	}
	w.Raw("* OK [PERMANENTFLAGS " + permanent + "] Kept for ever\r\n* OK [UIDVALIDITY ")
	w.Number(uint64(f.UIDValidity))
	w.Raw("] UIDs valid\r\n* OK [UIDNEXT ")
	w.Number(uint64(f.Counts.NextUID))
	w.Raw("] Predicted next UID\r\n* OK [HIGHESTMODSEQ ")
	w.Number(uint64(f.Counts.Seq))
	w.Raw("] Highest\r\n* OK [MAILBOXID (" + s.mailboxID(f.ID) + ")] Ok")
	w.CRLF()
	if s.rev2 {
		w.Raw(`* LIST () "/" `)
		w.Mailbox(name)
		w.CRLF()
	}
}

// leave ends the selection without a word about the messages.
func (s *session) leave() {
	s.sel = nil
	s.w.Status("*", "OK", "CLOSED", "The mailbox is closed")
}
