package imap

import (
	"context"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// store is STORE and UID STORE (RFC 9051 6.4.6, RFC 7162 3.1.3).
func (s *session) store(ctx context.Context, uid bool) (reply, error) {
	a, err := wire.ReadStore(s.r)
	if err != nil {
		return reply{}, err
	}
	if s.sel.readOnly {
		return no("CANNOT", "The mailbox is read-only"), nil
	}
	flags, keywords, err := parseFlags(a.Flags)
	if err != nil {
		return reply{}, err
	}
	s.condStore = s.condStore || a.HasUnchanged
	// What others changed is told first: an item is in the log once, and after a
	// silent change of ours theirs would not be seen there.
	if err := s.sync(ctx, false); err != nil {
		return reply{}, err
	}
	if s.done {
		return no("NONEXISTENT", "The mailbox was deleted"), nil
	}
	spans, err := s.messages(ctx, a.Set, uid)
	if err != nil {
		return reply{}, err
	}
	ch := store.FlagChange{Conditional: a.HasUnchanged, UnchangedSince: store.Seq(a.UnchangedSince)}
	switch a.Mode {
	case wire.StoreSet:
		ch.Replace, ch.Set, ch.SetKeywords = true, flags, keywords
	case wire.StoreAdd:
		ch.Set, ch.SetKeywords = flags, keywords
	case wire.StoreRemove:
		ch.Clear, ch.ClearKeywords = flags, keywords
	}
	before := s.sel.seq
	res, err := s.box.SetFlags(ctx, s.sel.folder, s.sel.uidSet(spans), ch)
	s.sel.remember(res.States)
	for _, st := range res.States {
		i, found := s.sel.index(st.UID())
		if found && (!a.Silent || s.condStore && st.Seq > before) {
			b := st.Brief()
			s.flagsLine(s.w, i, &b, !a.Silent)
		}
	}
	if err != nil {
		return reply{}, err
	}
	if len(res.Conflict) > 0 {
		return reply{"OK", "MODIFIED " + s.numbers(res.Conflict, uid).String(), "Some messages had changed"}, nil
	}
	return ok("STORE completed"), nil
}

// numbers returns a set of UIDs, or of the numbers of those messages.
func (s *session) numbers(uids []store.UID, uid bool) (set wire.SeqSet) {
	for _, u := range uids {
		if uid {
			set.Add(uint32(u))
		} else if i, found := s.sel.index(u); found {
			set.Add(uint32(i) + 1)
		}
	}
	return set
}

// messages resolves the set of a command, loading the list of UIDs if it is the
// first that needs it.
func (s *session) messages(ctx context.Context, set wire.SeqSet, uid bool) ([]span, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s.sel.resolve(set, uid)
}

func (s *session) load(ctx context.Context) error {
	if s.sel.loaded {
		return nil
	}
	v, err := s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	return s.sel.load(ctx, v)
}
