package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"rialto/internal/store"
)

// IMAP is a QRESYNC client of one folder (RFC 7162).
type IMAP struct {
	Folder   store.FolderID
	validity uint32
	seq      store.Seq
	copy     map[store.UID]string
	ever     map[store.UID]store.OID // what every UID it was shown meant
	highest  store.UID
	Resyncs  int
}

// Name implements Cache.
func (c *IMAP) Name() string { return fmt.Sprint("IMAP of folder ", c.Folder) }

// Sync implements Cache: SELECT (QRESYNC), then FETCH (CHANGEDSINCE) and
// VANISHED; below the horizon VANISHED names all UIDs that are not there.
func (c *IMAP) Sync(ctx context.Context, m *store.Mailbox, _ *rand.Rand) error {
	return Look(ctx, m, func(v *store.View) error {
		f, err := v.Folder(ctx, c.Folder)
		if err != nil {
			return err
		}
		if f.UIDValidity != c.validity {
			if f.UIDValidity < c.validity {
				return fmt.Errorf("UIDVALIDITY went from %d to %d", c.validity, f.UIDValidity)
			}
			c.Resyncs++
			*c = IMAP{Folder: c.Folder, validity: f.UIDValidity, copy: map[store.UID]string{}, ever: map[store.UID]store.OID{}, Resyncs: c.Resyncs}
		}
		if f.Counts.Seq < c.seq {
			return fmt.Errorf("HIGHESTMODSEQ went from %d to %d", c.seq, f.Counts.Seq)
		}
		whole, err := v.Changes(ctx, c.Folder, c.seq, func(ch *store.Change) bool {
			if ch.Kind == store.ChangeGone && ch.UID != 0 {
				delete(c.copy, ch.UID)
			}
			return true
		})
		if err != nil {
			return err
		}
		return c.fetch(ctx, v, f, whole)
	})
}

func (c *IMAP) fetch(ctx context.Context, v *store.View, f *store.Folder, whole bool) error {
	states, err := States(ctx, v, c.Folder, store.Normal)
	if err != nil {
		return err
	}
	there := map[store.UID]bool{}
	for i := range states {
		s := &states[i]
		there[s.UID()] = true
		o, known := c.ever[s.UID()]
		switch {
		case known && o != s.OID:
			return fmt.Errorf("UID %d meant item %d and means %d", s.UID(), o, s.OID)
		case !known && s.UID() <= c.highest:
			return fmt.Errorf("UID %d appeared below UIDNEXT %d", s.UID(), c.highest+1)
		case s.UID() >= f.Counts.NextUID:
			return fmt.Errorf("UID %d is not below UIDNEXT %d", s.UID(), f.Counts.NextUID)
		}
		c.ever[s.UID()] = s.OID
		if s.Seq > c.seq {
			c.copy[s.UID()] = shows(s)
		}
	}
	for u := range c.copy {
		if !there[u] && !whole {
			delete(c.copy, u)
		}
	}
	c.seq, c.highest = f.Counts.Seq, max(c.highest, f.Counts.NextUID-1)
	return nil
}

// Compare implements Cache.
func (c *IMAP) Compare(ctx context.Context, m *store.Mailbox) error {
	want := map[store.UID]string{}
	err := Look(ctx, m, func(v *store.View) error {
		states, err := States(ctx, v, c.Folder, store.Normal)
		for i := range states {
			want[states[i].UID()] = shows(&states[i])
		}
		return err
	})
	if err != nil {
		return err
	}
	return same(c.Name(), c.copy, want)
}
