package store

import (
	"context"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// CreateFolder makes a folder. KindExists if the parent has one of that name,
// compared without case.
func (m *Mailbox) CreateFolder(ctx context.Context, parent FolderID, name, class string) (*Folder, error) {
	return m.CreateFolderAs(ctx, parent, name, class, 0)
}

// CreateFolderAs is CreateFolder with an id that ReserveIDs gave a client; 0:
// the next one.
func (m *Mailbox) CreateFolderAs(ctx context.Context, parent FolderID, name, class string, id FolderID) (*Folder, error) {
	if err := checkFolderName(name); err != nil {
		return nil, err
	}
	if class == "" {
		class = "IPF.Note"
	}
	if err := m.may("store.createfolder", parent, RightCreateSubfolder); err != nil {
		return nil, err
	}
	var f *Folder
	err := m.update(ctx, "store.createfolder", func(t *txn) error {
		if _, err := t.folder(parent); err != nil {
			return err
		}
		if err := t.notBelow(parent, 0); err != nil {
			return err
		}
		if err := t.nameFree(parent, name, 0); err != nil {
			return err
		}
		if len(m.folders) >= maxFolders {
			return model.E("store.createfolder", model.KindQuota, "too many folders", nil)
		}
		if id != 0 {
			if err := t.reserved(MID(id)); err != nil {
				return err
			}
			if m.folders[id] != nil {
				return model.E("store.createfolder", model.KindExists, "id", nil)
			}
		} else {
			id = FolderID(t.nextID())
		}
		f = &Folder{ID: id, Parent: parent, Name: name, Class: class, Created: t.now}
		t.addFolder(f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c := *f
	return &c, nil
}

// maxFolders bounds the folders of a mailbox.
const maxFolders = 100000

// nameFree refuses a name that another folder than self has.
func (t *txn) nameFree(parent FolderID, name string, self FolderID) error {
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.ChildName(parent, name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrap("store.folder", name, err)
	}
	if len(v) == 7 && FolderID(layout.Get48(v[1:])) == self {
		return nil
	}
	return model.E("store.folder", model.KindExists, name, nil)
}

// RenameFolder gives a folder another name, another parent, or both. Its items
// and identity stay. Folders that every mailbox has can not be renamed.
func (m *Mailbox) RenameFolder(ctx context.Context, id, parent FolderID, name string) error {
	if err := checkFolderName(name); err != nil {
		return err
	}
	return m.update(ctx, "store.renamefolder", func(t *txn) error {
		if id < layout.FirstFreeID {
			return model.E("store.renamefolder", model.KindPermission, "default folder", nil)
		}
		f, err := t.edit(id)
		if err != nil {
			return err
		}
		if err := m.may("store.renamefolder", id, RightOwner); err != nil {
			return err
		}
		if f.Parent != parent {
			if err := m.may("store.renamefolder", parent, RightCreateSubfolder); err != nil {
				return err
			}
		}
		if _, err := t.folder(parent); err != nil {
			return err
		}
		if err := t.nameFree(parent, name, id); err != nil {
			return err
		}
		if err := t.notBelow(parent, id); err != nil {
			return err
		}
		t.b.Delete(m.num.ChildName(f.Parent, f.Name))
		f.Parent, f.Name = parent, name
		t.putFolder(f)
		t.b.Set(m.num.ChildName(parent, name), layout.FolderRef(id))
		return nil
	})
}

// notBelow refuses a parent that is the folder itself, or below it, or too deep.
func (t *txn) notBelow(parent, id FolderID) error {
	for p, depth := parent, 0; p != 0; depth++ {
		if p == id || depth > layout.MaxDepth {
			return model.E("store.renamefolder", model.KindInvalid, "folders can not be nested without end or below themselves", nil)
		}
		f, err := t.folder(p)
		if err != nil {
			return err
		}
		p = f.Parent
	}
	return nil
}

// SetSubscribed sets or clears a folder's subscription.
func (m *Mailbox) SetSubscribed(ctx context.Context, id FolderID, on bool) error {
	if err := m.mayAll("store.subscribe"); err != nil {
		return err
	}
	return m.update(ctx, "store.subscribe", func(t *txn) error {
		f, err := t.edit(id)
		if err != nil || f.Subscribed == on {
			return err
		}
		f.Subscribed = on
		t.putFolder(f)
		return nil
	})
}

// DeleteFolder removes a folder that has no folders below it. Its items become
// recoverable in Deleted Items. It works in chunks and can be repeated.
func (m *Mailbox) DeleteFolder(ctx context.Context, id FolderID) error {
	if err := m.may("store.deletefolder", id, RightOwner); err != nil {
		return err
	}
	for {
		done := false
		err := m.update(ctx, "store.deletefolder", func(t *txn) (err error) {
			done, err = t.deleteFolder(id)
			return err
		})
		if err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return wrap("store.deletefolder", "folder", err)
		}
	}
}

func (t *txn) deleteFolder(id FolderID) (done bool, err error) {
	m := t.m
	if id < layout.FirstFreeID {
		return false, model.E("store.deletefolder", model.KindPermission, "default folder", nil)
	}
	f, err := t.edit(id)
	if err != nil {
		return false, err
	}
	for _, c := range m.folders {
		if c.Parent == id {
			return false, model.E("store.deletefolder", model.KindConflict, "folder has folders below it", nil)
		}
	}
	t.b.Reclaim()
	states, err := t.someItems(id)
	if err != nil {
		return false, err
	}
	n, err := t.eachFull(states, layout.Names, func(it *layout.FullItem) error {
		_, err := t.rekey(it, Place{Folder: FolderDeletedItems, Space: Deleted, N: uint64(it.State.Row)})
		return err
	})
	if err != nil || n > 0 {
		return false, err
	}
	return true, t.dropFolder(f)
}

// someItems returns items of a folder, of whatever space.
func (t *txn) someItems(id FolderID) (states []*State, err error) {
	for _, sp := range []Space{Normal, Associated, Deleted} {
		err := layout.ScanStates(t.ctx, t.m.db.kv, t.m.num, id, sp, 0, layout.MaxN, chunkItems-len(states), func(s *State) bool {
			c := *s
			states = append(states, &c)
			return len(states) < chunkItems
		})
		if err != nil || len(states) >= chunkItems {
			return states, err
		}
	}
	return states, nil
}

// dropFolder removes an empty folder. Its log goes with it: nobody can ask for
// changes of a folder that is gone.
func (t *txn) dropFolder(f *Folder) error {
	m, id := t.m.num, uint64(f.ID)
	t.b.Delete(m.ID(layout.SubFolder, id))
	t.b.Delete(m.ID(layout.SubCounts, id))
	t.b.Delete(m.ChildName(f.Parent, f.Name))
	t.b.Delete(m.LogKey(f.Seq, ChangeFolder))
	t.b.Delete(m.LogKey(f.Counts.Seq, ChangeCounts))
	p := m.ID(layout.SubFolderLog, id)
	t.b.DeleteRange(p, layout.PrefixEnd(p))
	t.b.Delete(m.ID(layout.SubHorizon, id))
	t.b.Delete(m.ID(layout.SubPermissions, id))
	search := m.ID(layout.SubSearch, id)
	t.b.DeleteRange(search, layout.PrefixEnd(search))
	t.b.Delete(m.ID(layout.SubBag, id))
	t.b.Delete(m.ID(layout.SubSearch, id))
	t.b.DeleteRange(m.ID(layout.SubRule, id), layout.PrefixEnd(m.ID(layout.SubRule, id)))
	for class, to := range t.m.receive {
		if to == f.ID {
			t.b.Delete(append(m.Key(layout.SubReceive), class...))
			t.receive[class] = 0
		}
	}
	t.acls[f.ID] = nil
	t.dropRules(f.ID)
	at := t.nextSeq()
	c := Change{Folder: f.ID, From: f.Parent, Class: f.Class}
	t.b.Set(m.LogKey(at, ChangeNoFolder), append([]byte{byte(ChangeNoFolder)}, c.Encode()...))
	t.folders[f.ID] = nil
	delete(t.dirty, f.ID)
	return nil
}

// maxFolderName is in octets of UTF-8.
const maxFolderName = 1024

// checkFolderName refuses names that no protocol could show.
func checkFolderName(name string) error {
	if name == "" || len(name) > maxFolderName {
		return model.E("store.folder", model.KindInvalid, name, nil)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return model.E("store.folder", model.KindInvalid, "folder name", nil)
		}
	}
	return nil
}
