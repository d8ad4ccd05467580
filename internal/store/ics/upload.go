package ics

import (
	"context"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Upload is an item that a client has made or changed in its copy
// (RopSynchronizationImportMessageChange, MS-OXCFXICS 2.2.3.2.4.2).
type Upload struct {
	SourceKey      []byte
	ChangeKey      []byte // an XID
	PCL            []byte
	Modified       time.Time
	Associated     bool
	FailOnConflict bool
	// Edit is what the client wrote; for a new item Set, Streams, Recipients and
	// Attach are all of it.
	Edit store.Edit
}

// Outcome says what became of an upload.
type Outcome uint8

// The outcomes.
const (
	Stored  Outcome = iota // as it came
	Ignored                // the server has it, or a later version made from it
	LostTo                 // in conflict with a later change: kept among the recoverable items
	WonOver                // in conflict with an earlier change: that is among the recoverable items
)

// Uploaded is the answer to an upload.
type Uploaded struct {
	State   store.State
	Outcome Outcome
}

// maxTries is how often an upload is tried again when the item changes meanwhile.
const maxTries = 8

// Import stores an uploaded item in a folder. KindConflict if FailOnConflict is
// set and the server's version was not known to the client; KindNotFound if the
// item was deleted here.
func Import(ctx context.Context, m *store.Mailbox, f store.FolderID, u *Upload) (up Uploaded, err error) {
	if _, err := mapi.ParseXID(u.ChangeKey); err != nil {
		return up, err
	}
	for range maxTries {
		if up, err = importOnce(ctx, m, f, u); !model.IsKind(err, model.KindConflict) || u.FailOnConflict {
			return up, err
		}
	}
	return up, err
}

// known is what the server has of an upload's object.
type known struct {
	item *store.Item // nil: nothing
	mid  store.MID   // of the source key, if it is one of ours
	own  model.GUID
}

// find looks an item up by its source key.
func find(ctx context.Context, v *store.View, key []byte) (k known, err error) {
	rs, err := v.Replicas(ctx)
	if err != nil {
		return k, err
	}
	k.own = rs[0].GUID
	var p store.Place
	p, err = v.FindSourceKey(ctx, key)
	if model.IsKind(err, model.KindNotFound) {
		g, parseErr := mapi.ParseSourceKey(key)
		if parseErr != nil {
			return k, nil // of a foreign system, and new
		}
		for _, r := range rs {
			if r.GUID == g.Replica && (r.ID == store.OwnReplica || g.Counter <= r.Former) {
				k.mid = store.MID(g.Counter)
			}
		}
		if k.mid == 0 {
			return k, nil
		}
		p, err = v.FindMID(ctx, k.mid)
	}
	if model.IsKind(err, model.KindNotFound) {
		return k, nil
	}
	if err != nil || p.Space == store.Deleted {
		return k, err
	}
	k.item, err = v.ItemAt(ctx, p)
	return k, err
}

func importOnce(ctx context.Context, m *store.Mailbox, f store.FolderID, u *Upload) (up Uploaded, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return up, err
	}
	defer v.Close()
	k, err := find(ctx, v, u.SourceKey)
	if err != nil {
		return up, err
	}
	theirs, err := mapi.ParsePCL(u.PCL)
	if err != nil {
		return up, err
	}
	foreign := store.Foreign{ChangeKey: u.ChangeKey, PCL: without(theirs, k.own)}
	if k.item == nil {
		return create(ctx, m, f, u, k, foreign)
	}
	s := &k.item.State
	foreign.SourceKey, foreign.Href = s.Foreign.SourceKey, s.Foreign.Href
	ours, err := m.PCL(s)
	if err != nil {
		return up, err
	}
	edit := u.Edit
	edit.Base, edit.Foreign = s.CN, &foreign
	switch theirs.Compare(ours) {
	case mapi.Same, mapi.Older:
		return Uploaded{*s, Ignored}, nil
	case mapi.Conflict:
		if u.FailOnConflict {
			return up, model.E("ics.import", model.KindConflict, "item", nil)
		}
		foreign.PCL = without(theirs.Merge(ours), k.own)
		return resolve(ctx, m, v, k.item, u, &edit)
	}
	n, err := m.Save(ctx, s.OID, &edit)
	if err != nil {
		return up, err
	}
	return Uploaded{*n, Stored}, nil
}

// without is a list as it is stored: without the mailbox's own entry.
func without(p mapi.PCL, own model.GUID) []byte {
	var out mapi.PCL
	for _, x := range p {
		if x.Namespace != own {
			out = append(out, x)
		}
	}
	return out.Append(nil)
}

// create stores an item that the server does not have.
func create(ctx context.Context, m *store.Mailbox, f store.FolderID, u *Upload, k known, foreign store.Foreign) (up Uploaded, err error) {
	n := newItem(u)
	if k.mid != 0 {
		n.MID = k.mid
	} else {
		foreign.SourceKey = u.SourceKey
	}
	n.Foreign = foreign
	s, err := m.Create(ctx, f, n)
	if k.mid != 0 && model.IsKind(err, model.KindInvalid) {
		return up, model.E("ics.import", model.KindNotFound, "item was deleted", err)
	}
	if err != nil {
		return up, err
	}
	return Uploaded{*s, Stored}, nil
}

func newItem(u *Upload) *store.NewItem {
	return &store.NewItem{Props: u.Edit.Set, Streams: u.Edit.Streams, Recipients: u.Edit.Recipients, Associated: u.Associated,
		Flags: u.Edit.Flags.Set, Modified: u.Modified, Attachments: u.Edit.Attachments()}
}

// resolve settles a conflict: the later change stands, the other is kept among
// the recoverable items of the folder (MS-OXCFXICS 3.1.5.6.2).
func resolve(ctx context.Context, m *store.Mailbox, v *store.View, it *store.Item, u *Upload, edit *store.Edit) (up Uploaded, err error) {
	s := &it.State
	if !u.Modified.After(s.LastModified()) {
		loser := newItem(u)
		if err := keep(ctx, m, s.Place.Folder, loser); err != nil {
			return up, err
		}
		// The client is to get the server's version: it does not know its CN.
		return Uploaded{*s, LostTo}, nil
	}
	loser, release, err := v.Portable(ctx, s.OID, m)
	if err != nil {
		return up, err
	}
	defer release()
	// Kept first: if Save finds another change there is a copy too many, among
	// the deleted items, and never one too few.
	if err := keep(ctx, m, s.Place.Folder, loser); err != nil {
		return up, err
	}
	n, err := m.Save(ctx, s.OID, edit)
	if err != nil {
		return up, err
	}
	return Uploaded{*n, WonOver}, nil
}

// keep stores an item among the recoverable ones of a folder.
func keep(ctx context.Context, m *store.Mailbox, f store.FolderID, n *store.NewItem) error {
	n.Associated, n.Recoverable = false, true
	_, err := m.Create(ctx, f, n)
	return err
}

// Deletions deletes what a client deleted in its copy of a folder
// (RopSynchronizationImportDeletes); items that are not there are passed over.
func Deletions(ctx context.Context, m *store.Mailbox, f store.FolderID, keys [][]byte, hard bool) error {
	oids, err := oidsOf(ctx, m, f, keys)
	if err != nil {
		return err
	}
	_, err = m.DeleteItems(ctx, f, oids, hard)
	return err
}

func oidsOf(ctx context.Context, m *store.Mailbox, f store.FolderID, keys [][]byte) (oids []store.OID, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	for _, key := range keys {
		k, err := find(ctx, v, key)
		if err != nil {
			return nil, err
		}
		if k.item != nil && k.item.State.Place.Folder == f {
			oids = append(oids, k.item.State.OID)
		}
	}
	return oids, nil
}

// ReadStates sets the read state of items as a client has it
// (RopSynchronizationImportReadStateChanges).
func ReadStates(ctx context.Context, m *store.Mailbox, f store.FolderID, read, unread [][]byte) error {
	for _, x := range []struct {
		keys [][]byte
		ch   store.FlagChange
	}{{read, store.FlagChange{Set: store.Read}}, {unread, store.FlagChange{Clear: store.Read}}} {
		oids, err := oidsOf(ctx, m, f, x.keys)
		if err != nil {
			return err
		}
		if _, err := m.SetItemFlags(ctx, f, oids, x.ch); err != nil {
			return err
		}
	}
	return nil
}

// Move is a move that a client made in its copies of two folders
// (RopSynchronizationImportMessageMove, MS-OXCFXICS 2.2.3.2.4.4).
type Move struct {
	From      []byte // source key in the folder it left
	To        []byte // source key in the folder it came to
	ChangeKey []byte
	PCL       []byte
}

// Import moves the item to a folder. KindNotFound if it is not there any more.
func (mv *Move) Import(ctx context.Context, m *store.Mailbox, to store.FolderID) (*store.State, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	k, err := find(ctx, v, mv.From)
	if err != nil {
		return nil, err
	}
	if k.item == nil {
		return nil, model.E("ics.move", model.KindNotFound, "item", nil)
	}
	pcl, err := mapi.ParsePCL(mv.PCL)
	if err != nil {
		return nil, err
	}
	as := store.MoveAs{Foreign: store.Foreign{ChangeKey: mv.ChangeKey, PCL: without(pcl, k.own), Href: k.item.State.Foreign.Href}}
	if g, err := mapi.ParseSourceKey(mv.To); err == nil && g.Replica == k.own {
		as.MID = store.MID(g.Counter)
	} else {
		as.Foreign.SourceKey = mv.To
	}
	return m.MoveItem(ctx, k.item.State.OID, to, as)
}
