package store

import (
	"context"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
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

// maxDepth bounds the hierarchy.
const maxDepth = 300

// nameFree refuses a name that another folder than self has.
func (t *txn) nameFree(parent FolderID, name string, self FolderID) error {
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.childName(parent, name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrap("store.folder", name, err)
	}
	if len(v) == 7 && FolderID(get48(v[1:])) == self {
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
		if id < firstFreeID {
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
		t.b.Delete(m.num.childName(f.Parent, f.Name))
		f.Parent, f.Name = parent, name
		t.putFolder(f)
		t.b.Set(m.num.childName(parent, name), folderRef(id))
		return nil
	})
}

// notBelow refuses a parent that is the folder itself, or below it, or too deep.
func (t *txn) notBelow(parent, id FolderID) error {
	for p, depth := parent, 0; p != 0; depth++ {
		if p == id || depth > maxDepth {
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
	if id < firstFreeID {
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
	n, err := t.eachFull(states, names, func(it *fullItem) error {
		_, err := t.rekey(it, Place{FolderDeletedItems, Deleted, uint64(it.state.Row)})
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
		err := scanStates(t.ctx, t.m.db.kv, t.m.num, id, sp, 0, 1<<48-1, chunkItems-len(states), func(s *State) bool {
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
	t.b.Delete(m.id(subFolder, id))
	t.b.Delete(m.id(subCounts, id))
	t.b.Delete(m.childName(f.Parent, f.Name))
	t.b.Delete(m.logKey(f.Seq, ChangeFolder))
	t.b.Delete(m.logKey(f.Counts.Seq, ChangeCounts))
	p := m.id(subFolderLog, id)
	t.b.DeleteRange(p, prefixEnd(p))
	t.b.Delete(m.id(subHorizon, id))
	t.b.Delete(m.id(subPermissions, id))
	search := m.id(subSearch, id)
	t.b.DeleteRange(search, prefixEnd(search))
	t.b.Delete(m.id(subBag, id))
	t.b.Delete(m.id(subSearch, id))
	t.b.DeleteRange(m.id(subRule, id), prefixEnd(m.id(subRule, id)))
	for class, to := range t.m.receive {
		if to == f.ID {
			t.b.Delete(append(m.key(subReceive), class...))
			t.receive[class] = 0
		}
	}
	t.acls[f.ID] = nil
	t.dropRules(f.ID)
	at := t.nextSeq()
	c := Change{Folder: f.ID, From: f.Parent, Class: f.Class}
	t.b.Set(m.logKey(at, ChangeNoFolder), append([]byte{byte(ChangeNoFolder)}, c.encode()...))
	t.folders[f.ID] = nil
	delete(t.dirty, f.ID)
	return nil
}
