package store

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// receiveFolder finds the folder for a class: that of the longest prefix, as
// dots divide it. class is in lower case.
func (t *txn) receiveFolder(class string) (FolderID, string) {
	for {
		if f, ok := t.m.receive[class]; ok && t.m.folders[f] != nil {
			return f, class
		}
		i := strings.LastIndexByte(class, '.')
		switch {
		case class == "ipc":
			return FolderRoot, class
		case class == "" || class == "ipm" || class == "report.ipm":
			return FolderInbox, class
		case i < 0:
			class = ""
		default:
			class = class[:i]
		}
	}
}

// ReceiveFolder returns the folder where new items of a class are delivered,
// and the class whose entry says so, in lower case (MS-OXCSTOR 3.2.5.2).
func (m *Mailbox) ReceiveFolder(ctx context.Context, class string) (FolderID, string, error) {
	if err := layout.CheckReceiveClass(class); err != nil {
		return 0, "", err
	}
	if err := m.lock(); err != nil {
		return 0, "", err
	}
	defer m.mu.Unlock()
	f, entry := m.begin(ctx, nil).receiveFolder(strings.ToLower(class))
	return f, entry, nil
}

// SetReceiveFolder directs new items of a class to a folder; folder 0 removes
// the entry. Those of IPM and REPORT.IPM can not be changed.
func (m *Mailbox) SetReceiveFolder(ctx context.Context, class string, f FolderID) error {
	if err := layout.CheckReceiveClass(class); err != nil {
		return err
	}
	class = strings.ToLower(class)
	if class == "ipm" || class == "report.ipm" {
		return model.E("store.receivefolder", model.KindPermission, class, nil)
	}
	if class == "" && f == 0 {
		return model.E("store.receivefolder", model.KindInvalid, "the default can be changed, not removed", nil)
	}
	if err := m.mayAll("store.receivefolder"); err != nil {
		return err
	}
	return m.update(ctx, "store.receivefolder", func(t *txn) error {
		key := append(m.num.Key(layout.SubReceive), class...)
		if f == 0 {
			t.b.Delete(key)
		} else {
			if _, err := t.folder(f); err != nil {
				return err
			}
			t.b.Set(key, layout.FolderRef(f))
		}
		t.receive[class] = f
		return nil
	})
}

// ReceiveFolders lists the entries that were set, by class in lower case.
func (v *View) ReceiveFolders(ctx context.Context) (map[string]FolderID, error) {
	return layout.ReadReceive(ctx, v.snap, v.m.num)
}
