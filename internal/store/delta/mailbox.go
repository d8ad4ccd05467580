package delta

import (
	"context"
	"slices"

	"rialto/internal/store"
)

// Changes is what has changed in a mailbox since a token (RFC 8620 5.2).
type Changes[ID any] struct {
	Created   []ID
	Updated   []ID
	Destroyed []ID
	Token     Token // of the state that the answer leads to
	More      bool  // there are changes after Token
}

// Now returns the token of the mailbox's present state, or of a folder's.
func Now(ctx context.Context, m *store.Mailbox, f store.FolderID) (Token, error) {
	last := m.LastID()
	v, err := m.View(ctx)
	if err != nil {
		return Token{}, err
	}
	defer v.Close()
	return now(ctx, v, f, last)
}

func now(ctx context.Context, v *store.View, f store.FolderID, last uint64) (t Token, err error) {
	t = Token{Folder: f, LastID: last}
	if t.Incarnation, err = v.Incarnation(ctx); err != nil {
		return t, err
	}
	if f != 0 {
		folder, err := v.Folder(ctx, f)
		if err != nil {
			return t, err
		}
		t.Seq = folder.Counts.Seq
		return t, nil
	}
	t.Seq, err = v.LastSeq(ctx)
	return t, err
}

// open checks a token on a new view and returns the token of the view's state.
func open(ctx context.Context, m *store.Mailbox, since Token) (v *store.View, to Token, err error) {
	last := m.LastID()
	if v, err = m.View(ctx); err != nil {
		return nil, to, err
	}
	if to, err = now(ctx, v, since.Folder, last); err == nil && to.Incarnation != since.Incarnation {
		err = expired()
	}
	if err != nil {
		v.Close()
		return nil, to, err
	}
	return v, to, nil
}

// Items returns which items of the mailbox were made, changed and destroyed
// since a token, at most limit (0: all). Recoverable items are destroyed ones.
// An item may be told as created that the client knows already.
func Items(ctx context.Context, m *store.Mailbox, since Token, limit int) (*Changes[store.OID], error) {
	v, to, err := open(ctx, m, since)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &Changes[store.OID]{Token: to}
	n := 0
	whole, err := v.MailboxChanges(ctx, since.Seq, func(c *store.Change) bool {
		if c.Kind != store.ChangeItem && c.Kind != store.ChangeGone {
			return true
		}
		if limit > 0 && n == limit {
			out.More = true
			return false
		}
		n++
		out.Token.Seq = max(c.Seq, since.Seq)
		switch {
		case c.Kind == store.ChangeGone:
			out.Destroyed = append(out.Destroyed, c.OID)
		case c.Associated:
		case uint64(c.OID) > since.LastID:
			out.Created = append(out.Created, c.OID)
		default:
			out.Updated = append(out.Updated, c.OID)
		}
		return true
	})
	return finish(out, since, to, whole, err)
}

// finish settles the token of an answer: that of the last change if there are
// more, else that of the view.
func finish[ID any](out *Changes[ID], since, to Token, whole bool, err error) (*Changes[ID], error) {
	if err != nil {
		return nil, err
	}
	if !whole {
		return nil, expired()
	}
	if out.More {
		// What was made meanwhile has not been told.
		out.Token.LastID = since.LastID
	} else {
		out.Token = to
	}
	return out, nil
}

// FolderChanges is what has changed among the folders of a mailbox.
type FolderChanges struct {
	Changes[store.FolderID]
	// OnlyCounts says that of the updated folders only the counts changed
	// (RFC 8621 2.2: updatedProperties).
	OnlyCounts bool
}

// Folders returns which folders were made, changed and destroyed since a token,
// at most limit (0: all).
func Folders(ctx context.Context, m *store.Mailbox, since Token, limit int) (*FolderChanges, error) {
	v, to, err := open(ctx, m, since)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &FolderChanges{OnlyCounts: true}
	told := map[store.FolderID]bool{}
	whole, err := v.MailboxChanges(ctx, since.Seq, func(c *store.Change) bool {
		switch c.Kind {
		case store.ChangeFolder, store.ChangeCounts, store.ChangeNoFolder:
		default:
			return true
		}
		if c.Kind == store.ChangeFolder {
			out.OnlyCounts = false
		}
		if told[c.Folder] {
			return true
		}
		if limit > 0 && len(told) == limit {
			out.More = true
			return false
		}
		told[c.Folder] = true
		out.Token.Seq = c.Seq
		switch {
		case c.Kind == store.ChangeNoFolder:
			out.Destroyed = append(out.Destroyed, c.Folder)
		case uint64(c.Folder) > since.LastID:
			out.Created = append(out.Created, c.Folder)
		default:
			out.Updated = append(out.Updated, c.Folder)
		}
		return true
	})
	out.Token.Incarnation = to.Incarnation
	if _, err := finish(&out.Changes, since, to, whole, err); err != nil {
		return nil, err
	}
	return out, nil
}

// Member is an item of a collection.
type Member struct {
	OID  store.OID
	Href string // "" unless a client named it
}

// Collection is what has changed in one folder since a token (RFC 6578).
type Collection struct {
	Changed []store.State
	Removed []Member
	Token   Token
	More    bool
}

// CollectionChanges returns what has changed in the folder of a token, at most
// limit (0: all). since without a Seq asks for everything there is.
func CollectionChanges(ctx context.Context, m *store.Mailbox, since Token, limit int) (*Collection, error) {
	v, to, err := open(ctx, m, since)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &Collection{Token: to}
	var places []store.Place
	n := 0
	last := since.Seq
	whole, err := v.Changes(ctx, since.Folder, since.Seq, func(c *store.Change) bool {
		if limit > 0 && n == limit {
			out.More = true
			return false
		}
		last = c.Seq
		switch {
		case c.Associated:
			return true
		case c.Kind == store.ChangeItem:
			places = append(places, store.Place{Folder: c.Folder, Space: store.Normal, N: uint64(c.UID)})
		case since.Seq == 0:
			return true // the client has nothing that could be gone
		default:
			out.Removed = append(out.Removed, Member{c.OID, c.Href})
		}
		n++
		return true
	})
	if err != nil {
		return nil, err
	}
	if !whole && since.Seq != 0 {
		return nil, expired()
	}
	if out.More {
		out.Token.Seq = last
	}
	states, err := v.StatesAt(ctx, places)
	if err != nil {
		return nil, err
	}
	there := map[Member]bool{}
	for _, s := range states {
		if s != nil {
			out.Changed = append(out.Changed, *s)
			there[memberName(s.OID, s.Foreign.Href)] = true
		}
	}
	// A name may be in use again: of an item that was edited, or moved to where
	// it was.
	out.Removed = slices.DeleteFunc(out.Removed, func(g Member) bool { return there[memberName(g.OID, g.Href)] })
	return out, nil
}

// memberName is what tells a member from others: its Href, if it has one.
func memberName(o store.OID, href string) Member {
	if href != "" {
		return Member{Href: href}
	}
	return Member{OID: o}
}
