package pop3

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

// drop is a message of the maildrop.
type drop struct {
	uid     store.UID
	row     store.RowID
	oid     store.OID
	size    int64
	deleted bool
	read    bool // retrieved, not marked yet
}

// open reads the maildrop.
func (s *session) open(ctx context.Context, acct *auth.Account) error {
	box, err := s.srv.Stores.Mailbox(ctx, acct)
	if model.IsKind(err, model.KindNotFound) {
		return s.no("SYS/PERM", "No mailbox here")
	}
	if err != nil {
		return err
	}
	v, err := box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	var list []drop
	err = v.Briefs(ctx, store.FolderInbox, 1, ^store.UID(0), func(st *store.Brief) bool {
		list = append(list, drop{uid: st.UID, row: st.Row, oid: st.OID, size: st.Size})
		return len(list) < s.set.MaxMessages
	})
	if err != nil {
		return err
	}
	s.acct, s.box, s.drop, s.failures = acct, box, list, 0
	s.incarnation = box.Header().Incarnation
	s.conn.SetUser(strings.Clone(acct.Name))
	return s.ok("Signed in")
}

// number reads a message number; the reply is sent if there is no such message.
func (s *session) number(arg string) *drop {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 || n > len(s.drop) || s.drop[n-1].deleted {
		s.w.Err("", "No such message")
		return nil
	}
	return &s.drop[n-1]
}

// body opens the octets of a message. KindNotFound if somebody deleted it.
func (s *session) body(ctx context.Context, d *drop) (*store.Body, error) {
	gone := model.E("pop3.retr", model.KindNotFound, "message", nil)
	v, err := s.box.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	at, err := v.Find(ctx, d.oid)
	if err != nil {
		return nil, err
	}
	if at.Space != store.Normal { // deleted, and recoverable
		return nil, gone
	}
	streams, err := v.Streams(ctx, []store.RowID{d.row})
	if err != nil {
		return nil, err
	}
	if streams[0] == nil {
		return nil, gone
	}
	return v.Open(ctx, streams[0])
}

// markRead marks what was retrieved, all at once: a commit for every RETR would
// cost more than the reading.
func (s *session) markRead(ctx context.Context) {
	var read []store.UID
	for i := range s.drop {
		if s.drop[i].read {
			read = append(read, s.drop[i].uid)
			s.drop[i].read = false
		}
	}
	if len(read) == 0 {
		return
	}
	_, err := s.box.SetFlags(context.WithoutCancel(ctx), store.FolderInbox, store.UIDs(read...), store.FlagChange{Set: store.Read})
	if err != nil {
		s.srv.logger().Warn("pop3: messages not marked read", "conn", s.conn.ID(), "err", err)
	}
}

// wanted opens the message that a command's first argument names.
func (s *session) wanted(ctx context.Context, cmd wire.Command) (*drop, *store.Body, error) {
	if len(cmd.Args) == 0 {
		return nil, nil, s.no("", "Which message?")
	}
	d := s.number(cmd.Args[0])
	if d == nil {
		return nil, nil, nil
	}
	b, err := s.body(ctx, d)
	return d, b, err
}

// cut ends the session where a reply ended early: the client must not take what
// it has for the whole.
func (s *session) cut(err error) error {
	if err == nil {
		return nil
	}
	s.srv.logger().Error("pop3: reply cut", "conn", s.conn.ID(), "err", err)
	return errors.Join(errBroken, err)
}
