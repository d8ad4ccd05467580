package imap

import (
	"context"
	"strconv"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// target reads the arguments of COPY or MOVE and finds what they name.
func (s *session) target(ctx context.Context, uid bool) (set store.UIDSet, to *store.Folder, err error) {
	a, err := wire.ReadCopy(s.r)
	if err != nil {
		return nil, nil, err
	}
	spans, err := s.messages(ctx, a.Set, uid)
	if err != nil {
		return nil, nil, err
	}
	to, err = s.folder(ctx, a.Mailbox)
	return s.sel.uidSet(spans), to, err
}

// copy is COPY and UID COPY (RFC 9051 6.4.7).
func (s *session) copy(ctx context.Context, uid bool) (reply, error) {
	set, to, err := s.target(ctx, uid)
	if rep, err, isEnd := noTarget(err); isEnd {
		return rep, err
	}
	if err := s.room(0); err != nil {
		return reply{}, err
	}
	done, err := s.box.Copy(ctx, s.sel.folder, set, to.ID)
	if err != nil {
		return reply{}, err
	}
	return reply{"OK", copyUID(to, done), "COPY completed"}, nil
}

// noTarget says what to answer if there is nowhere to copy to.
func noTarget(err error) (reply, error, bool) {
	if model.IsKind(err, model.KindNotFound) {
		return no("TRYCREATE", "No such mailbox"), nil, true
	}
	return reply{}, err, err != nil
}

// copyUID returns the response code COPYUID (RFC 9051 7.1), "" if nothing was
// copied.
func copyUID(to *store.Folder, done []store.Copied) string {
	if len(done) == 0 {
		return ""
	}
	var from, dest wire.SeqSet
	for _, c := range done {
		from.Add(uint32(c.From))
		dest.Add(uint32(c.To))
	}
	b := append(strconv.AppendUint([]byte("COPYUID "), uint64(to.UIDValidity), 10), ' ')
	b = append(from.Append(b), ' ')
	return string(dest.Append(b))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
