package store

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// The rights of a folder.
const (
	RightReadAny         Rights = 0x0001
	RightCreate          Rights = 0x0002
	RightEditOwned       Rights = 0x0008
	RightDeleteOwned     Rights = 0x0010
	RightEditAny         Rights = 0x0020
	RightDeleteAny       Rights = 0x0040
	RightCreateSubfolder Rights = 0x0080
	RightOwner           Rights = 0x0100
	RightContact         Rights = 0x0200
	RightVisible         Rights = 0x0400
	RightFreeBusySimple  Rights = 0x0800
	RightFreeBusyDetails Rights = 0x1000
	rightsKnown          Rights = 0x1FFB
	// RightsOfOwner are what an owner of a folder has at least.
	RightsOfOwner = RightReadAny | RightCreate | RightEditOwned | RightDeleteOwned | RightEditAny | RightDeleteAny |
		RightCreateSubfolder | RightOwner | RightVisible
)

// Roles as programs show them: sums of rights.
const (
	RoleNone             Rights = 0
	RoleContributor      Rights = 0x402
	RoleReviewer         Rights = 0x401
	RoleNonEditingAuthor Rights = 0x413
	RoleAuthor           Rights = 0x41B
	RolePublishingAuthor Rights = 0x49B
	RoleEditor           Rights = 0x47B
	RolePublishingEditor Rights = 0x4FB
	RoleOwner            Rights = 0x7FB // with folder contact
)

// Rights to a mailbox as a whole, in the entries of folder 0.
const (
	MailboxFullAccess Rights = 0x0001 // everything its owner may
	MailboxSendAs     Rights = 0x0002
	MailboxSendFor    Rights = 0x0004 // send on behalf
	MailboxReadRights Rights = 0x0008
	mailboxKnown      Rights = 0x000F
)

// Caller is who works on a mailbox. The zero value is somebody anonymous.
type Caller struct {
	SID    []byte
	Groups [][]byte // SIDs of all groups the account is in
	// Full says that the mailbox is the caller's, or that the directory gives
	// full access to it.
	Full bool
}

// As returns the mailbox as c may use it: every operation on what it returns is
// checked. Without As a mailbox is the server's own, and nothing is. What needs
// which right, any of those named:
//
//	see a folder, its counts                         Visible, ReadAny
//	read items, changes, read state; freeze          ReadAny
//	read, recover and purge recoverable items        Owner, DeleteAny
//	make items; copy or move them to the folder      Create
//	edit, flags but read alone                       EditAny, own: EditOwned
//	the read flag                                    ReadAny, EditAny, own: EditOwned
//	delete items, move them away                     DeleteAny, own: DeleteOwned
//	make a folder below, or move one there           CreateSubfolder
//	rename, delete, permissions, properties          Owner
//	mailbox: log, devices, searches, properties,     MailboxFullAccess
//	 receive folders, reserved ids, upkeep
//
// Row ids and content ids are given out with items only: whoever has one has
// read its item, and is not asked again.
func (m *Mailbox) As(c Caller) *Mailbox { return &Mailbox{box: m.box, caller: &c} }

const (
	maxPermissions = 1000
	maxMemberName  = 256
)

// rightsOf returns what c may: its own entry decides, else those of its groups
// together, else that of everybody.
func rightsOf(a *layout.ACL, c *Caller) Rights {
	var groups, all Rights
	found := false
	for _, e := range a.Entries {
		switch {
		case e.Member == MemberAnonymous && c.SID == nil:
			return e.Rights
		case e.Member == MemberDefault:
			all = e.Rights
		case e.SID == nil || c.SID == nil:
		case bytes.Equal(e.SID, c.SID):
			return e.Rights
		case slices.ContainsFunc(c.Groups, func(g []byte) bool { return bytes.Equal(g, e.SID) }):
			groups, found = groups|e.Rights, true
		}
	}
	if found {
		return groups
	}
	if c.SID == nil {
		return 0
	}
	return all
}

// aclOf returns the permissions of a folder as they are ordered.
func (b *box) aclOf(f FolderID) *layout.ACL {
	if a := (*b.acls.Load())[f]; a != nil {
		return a
	}
	return layout.EmptyACL()
}

// full reports whether the caller may do everything.
func (m *Mailbox) full() bool {
	return m.caller == nil || m.caller.Full || rightsOf(m.aclOf(0), m.caller)&MailboxFullAccess != 0
}

// Rights returns what the caller may do in a folder. Folder 0 is the mailbox.
func (m *Mailbox) Rights(f FolderID) Rights {
	switch {
	case f == 0 && m.full():
		return mailboxKnown
	case m.full():
		return RightsOfOwner | RightContact
	}
	r := rightsOf(m.aclOf(f), m.caller)
	if f != 0 && r&RightOwner != 0 {
		r |= RightVisible | RightCreateSubfolder
	}
	return r
}

// may refuses an operation on a folder unless the caller has one of the rights.
func (m *Mailbox) may(op string, f FolderID, need Rights) error {
	if m.caller == nil || m.Rights(f)&need != 0 {
		return nil
	}
	return model.E(op, model.KindPermission, "folder", nil)
}

// mayRead refuses reading items of a folder's space. Recoverable items are shown
// to who may bring them back.
func (m *Mailbox) mayRead(op string, f FolderID, sp Space) error {
	if sp == Deleted {
		return m.may(op, f, RightOwner|RightDeleteAny)
	}
	return m.may(op, f, RightReadAny)
}

// mayItem is may for an item: own is the right that its creator needs.
func (m *Mailbox) mayItem(op string, s *State, any, own Rights) error {
	if m.caller == nil {
		return nil
	}
	r := m.Rights(s.Place.Folder)
	if r&any != 0 || r&own != 0 && len(s.Creator) > 0 && bytes.Equal(s.Creator, m.caller.SID) {
		return nil
	}
	return model.E(op, model.KindPermission, "item", nil)
}

// mayAll refuses what concerns the mailbox as a whole.
func (m *Mailbox) mayAll(op string) error {
	if m.full() {
		return nil
	}
	return model.E(op, model.KindPermission, "mailbox", nil)
}

// Permissions returns the entries of a folder, those of everybody first.
// Folder 0 is the mailbox: its rights are the Mailbox… ones.
func (m *Mailbox) Permissions(f FolderID) ([]Permission, error) {
	need := RightOwner | RightVisible
	if f == 0 {
		need = MailboxReadRights
	}
	if err := m.may("store.rights", f, need); err != nil {
		return nil, err
	}
	return slices.Clone(m.aclOf(f).Entries), nil
}

// SetPermissions replaces the entries of a folder; the two of everybody stay if
// they are not among them. Entries with Member 0 and a SID are new, or replace
// the entry with that SID. It is a change of the folder's definition.
func (m *Mailbox) SetPermissions(ctx context.Context, f FolderID, entries []Permission) error {
	return m.update(ctx, "store.rights", func(t *txn) error {
		if f == 0 {
			if err := m.mayAll("store.rights"); err != nil {
				return err
			}
		} else if err := m.may("store.rights", f, RightOwner); err != nil {
			return err
		}
		return t.setPermissions(f, entries)
	})
}

func (t *txn) setPermissions(f FolderID, entries []Permission) error {
	a, err := replaced(t.m.aclOf(f), f, entries)
	if err != nil {
		return err
	}
	enc := a.Encode()
	if len(enc) > kv.MaxValue {
		return model.E("store.rights", model.KindTooLarge, "permissions", nil)
	}
	t.acls[f] = a
	t.b.Set(t.m.num.ID(layout.SubPermissions, uint64(f)), enc)
	if f == 0 {
		return nil
	}
	def, err := t.edit(f)
	if err == nil {
		t.putFolder(def)
	}
	return err
}

func replaced(a *layout.ACL, f FolderID, entries []Permission) (*layout.ACL, error) {
	known := rightsKnown
	if f == 0 {
		known = mailboxKnown
	}
	if len(entries) > maxPermissions {
		return nil, model.E("store.rights", model.KindTooLarge, "permissions", nil)
	}
	out := &layout.ACL{Next: a.Next, Entries: slices.Clone(a.Entries[:2])}
	for _, e := range entries {
		if len(e.SID) > layout.MaxSID || len(e.Name) > maxMemberName || e.Rights&^known != 0 {
			return nil, model.E("store.rights", model.KindInvalid, e.Name, nil)
		}
		switch {
		case e.Member == MemberDefault && e.SID == nil:
			out.Entries[0].Rights = e.Rights
		case e.Member == MemberAnonymous:
			out.Entries[1].Rights = e.Rights
		case e.SID == nil || slices.ContainsFunc(out.Entries, func(o Permission) bool { return bytes.Equal(o.SID, e.SID) }):
			return nil, model.E("store.rights", model.KindInvalid, "entry without an account, or a second one of an account", nil)
		default:
			e.Member = 0
			for _, o := range a.Entries[2:] {
				if bytes.Equal(o.SID, e.SID) {
					e.Member = o.Member
				}
			}
			if e.Member == 0 {
				e.Member = out.Next
				out.Next++
			}
			out.Entries = append(out.Entries, e)
		}
	}
	return out, nil
}

// DropAccounts removes the entries of accounts that exist no more from all
// folders, and returns how many it removed.
func (m *Mailbox) DropAccounts(ctx context.Context, gone func(sid []byte) bool) (int, error) {
	n := 0
	if err := m.mayAll("store.rights"); err != nil {
		return 0, err
	}
	for f := range *m.acls.Load() {
		dropped := 0
		if err := m.update(ctx, "store.rights", func(t *txn) error {
			a := m.aclOf(f) // as it is now: another may have changed it
			keep := slices.DeleteFunc(slices.Clone(a.Entries), func(e Permission) bool { return e.SID != nil && gone(e.SID) })
			if dropped = len(a.Entries) - len(keep); dropped == 0 {
				return nil
			}
			return t.setPermissions(f, keep)
		}); err != nil {
			return n, err
		}
		n += dropped
	}
	return n, nil
}

// inheritACL gives a new folder its parent's permissions.
func (t *txn) inheritACL(f *Folder) {
	a := t.m.aclOf(f.Parent)
	if f.Parent == 0 || len(a.Entries) == 2 && a.Entries[0].Rights|a.Entries[1].Rights == 0 {
		return
	}
	t.acls[f.ID] = a
	t.b.Set(t.m.num.ID(layout.SubPermissions, uint64(f.ID)), a.Encode())
}

// installACLs makes changed permissions those in force.
func (b *box) installACLs(changed map[FolderID]*layout.ACL) {
	if len(changed) == 0 {
		return
	}
	next := maps.Clone(*b.acls.Load())
	for f, a := range changed {
		if a == nil {
			delete(next, f)
		} else {
			next[f] = a
		}
	}
	b.acls.Store(&next)
}
