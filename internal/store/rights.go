package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
)

// Rights are what somebody may do in a folder (MS-OXCPERM 2.2.7).
type Rights uint32

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

// Members that every folder has.
const (
	MemberDefault   uint64 = 0         // who signed in and has no entry
	MemberAnonymous uint64 = 1<<64 - 1 // who did not sign in
)

// Permission is an entry of a folder's permissions.
type Permission struct {
	Member uint64 // PidTagMemberId: MemberDefault, MemberAnonymous, or given by the store
	SID    []byte // of an account or group; nil for the two others
	Name   string // PidTagMemberName
	Rights Rights
}

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

// acl is the permissions of a folder; the two of everybody come first.
type acl struct {
	next    uint64 // member id
	entries []Permission
}

const (
	aclVersion     = 1
	maxPermissions = 1000
	maxMemberName  = 256
)

func emptyACL() *acl {
	return &acl{next: 1, entries: []Permission{{Member: MemberDefault, Name: ""}, {Member: MemberAnonymous, Name: "Anonymous"}}}
}

func (a *acl) encode() []byte {
	b := binary.AppendUvarint([]byte{aclVersion}, a.next)
	b = binary.AppendUvarint(b, uint64(len(a.entries)))
	for _, e := range a.entries {
		b = binary.AppendUvarint(b, e.Member)
		b = row.AppendText(row.AppendText(b, string(e.SID)), e.Name)
		b = binary.AppendUvarint(b, uint64(e.Rights))
	}
	return b
}

func decodeACL(v []byte) (*acl, error) {
	d := newReader(v)
	if d.Byte() != aclVersion {
		d.Bad = true
	}
	a := &acl{next: d.Uvarint()}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		a.entries = append(a.entries, Permission{d.Uvarint(), d.copied(), d.Text(), Rights(d.Uvarint())})
	}
	return a, d.err("permissions")
}

// rightsOf returns what c may: its own entry decides, else those of its groups
// together, else that of everybody.
func rightsOf(a *acl, c *Caller) Rights {
	var groups, all Rights
	found := false
	for _, e := range a.entries {
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

// readACLs returns the permissions of all folders that have entries.
func readACLs(ctx context.Context, r kv.Reader, n number) (map[FolderID]*acl, error) {
	out := map[FolderID]*acl{}
	p := n.key(subPermissions)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		a, err := decodeACL(it.Value())
		if err != nil || len(it.Key()) != len(p)+6 {
			it.Close()
			return nil, corrupt("permissions")
		}
		out[FolderID(get48(it.Key()[len(p):]))] = a
	}
	return out, wrap("store.rights", "mailbox", it.Close())
}

// aclOf returns the permissions of a folder as they are ordered.
func (b *box) aclOf(f FolderID) *acl {
	if a := (*b.acls.Load())[f]; a != nil {
		return a
	}
	return emptyACL()
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
	return slices.Clone(m.aclOf(f).entries), nil
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
	enc := a.encode()
	if len(enc) > kv.MaxValue {
		return model.E("store.rights", model.KindTooLarge, "permissions", nil)
	}
	t.acls[f] = a
	t.b.Set(t.m.num.id(subPermissions, uint64(f)), enc)
	if f == 0 {
		return nil
	}
	def, err := t.edit(f)
	if err == nil {
		t.putFolder(def)
	}
	return err
}

func replaced(a *acl, f FolderID, entries []Permission) (*acl, error) {
	known := rightsKnown
	if f == 0 {
		known = mailboxKnown
	}
	if len(entries) > maxPermissions {
		return nil, model.E("store.rights", model.KindTooLarge, "permissions", nil)
	}
	out := &acl{next: a.next, entries: slices.Clone(a.entries[:2])}
	for _, e := range entries {
		if len(e.SID) > maxSID || len(e.Name) > maxMemberName || e.Rights&^known != 0 {
			return nil, model.E("store.rights", model.KindInvalid, e.Name, nil)
		}
		switch {
		case e.Member == MemberDefault && e.SID == nil:
			out.entries[0].Rights = e.Rights
		case e.Member == MemberAnonymous:
			out.entries[1].Rights = e.Rights
		case e.SID == nil || slices.ContainsFunc(out.entries, func(o Permission) bool { return bytes.Equal(o.SID, e.SID) }):
			return nil, model.E("store.rights", model.KindInvalid, "entry without an account, or a second one of an account", nil)
		default:
			e.Member = 0
			for _, o := range a.entries[2:] {
				if bytes.Equal(o.SID, e.SID) {
					e.Member = o.Member
				}
			}
			if e.Member == 0 {
				e.Member = out.next
				out.next++
			}
			out.entries = append(out.entries, e)
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
			keep := slices.DeleteFunc(slices.Clone(a.entries), func(e Permission) bool { return e.SID != nil && gone(e.SID) })
			if dropped = len(a.entries) - len(keep); dropped == 0 {
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
	if f.Parent == 0 || len(a.entries) == 2 && a.entries[0].Rights|a.entries[1].Rights == 0 {
		return
	}
	t.acls[f.ID] = a
	t.b.Set(t.m.num.id(subPermissions, uint64(f.ID)), a.encode())
}

// installACLs makes changed permissions those in force.
func (b *box) installACLs(changed map[FolderID]*acl) {
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
