package store

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// FolderProps returns the properties of a folder beyond its definition. Those
// of folder 0 are the mailbox's own.
func (v *View) FolderProps(ctx context.Context, f FolderID) (mapi.Properties, error) {
	if f == 0 {
		if err := v.m.mayAll("store.props"); err != nil {
			return nil, err
		}
	} else if err := v.m.may("store.props", f, RightVisible|RightReadAny); err != nil {
		return nil, err
	}
	return v.Props(ctx, RowID(f))
}

// SetFolderProps sets and deletes properties of a folder, or of the mailbox
// itself (folder 0). Name, parent and class of a folder are not among them but
// for PidTagContainerClass.
func (m *Mailbox) SetFolderProps(ctx context.Context, f FolderID, set mapi.Properties, del ...mapi.Tag) error {
	if f == 0 {
		if err := m.mayAll("store.props"); err != nil {
			return err
		}
	} else if err := m.may("store.props", f, RightOwner); err != nil {
		return err
	}
	return m.update(ctx, "store.props", func(t *txn) error {
		vals, err := m.db.kv.GetMany(ctx, [][]byte{m.num.ID(layout.SubBag, uint64(f))})
		if err != nil {
			return wrap("store.props", "folder", err)
		}
		bag, err := layout.DecodeBag(vals[0])
		if err != nil {
			return err
		}
		p := bag.Props
		for _, tag := range del {
			p.Delete(tag)
		}
		for _, q := range set {
			if f == 0 || q.Tag != mapi.TagContainerClass && q.Tag != mapi.TagDisplayName {
				p.Set(q.Tag, q.Value)
			}
		}
		enc, err := layout.EncodeBag(p, nil)
		if err != nil {
			return err
		}
		if len(enc) > maxFolderProps {
			return model.E("store.props", model.KindTooLarge, "folder properties", nil)
		}
		if enc == nil {
			t.b.Delete(m.num.ID(layout.SubBag, uint64(f)))
		} else {
			t.b.Set(m.num.ID(layout.SubBag, uint64(f)), enc)
		}
		if f == 0 {
			return nil
		}
		def, err := t.edit(f)
		if err != nil {
			return err
		}
		if class := set.Text(mapi.TagContainerClass); class != "" {
			def.Class = class
		}
		t.putFolder(def)
		return nil
	})
}

// maxFolderProps bounds the properties of one folder, in octets.
const maxFolderProps = 128 << 10
