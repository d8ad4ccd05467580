package layout

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// Rights are what somebody may do in a folder (MS-OXCPERM 2.2.7).
type Rights uint32

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

// ACL is the permissions of a folder; the two of everybody come first.
type ACL struct {
	Next    uint64 // member id
	Entries []Permission
}

const (
	aclVersion = 1
)

// EmptyACL is what a folder has that has no row: nobody may anything.
func EmptyACL() *ACL {
	return &ACL{Next: 1, Entries: []Permission{{Member: MemberDefault, Name: ""}, {Member: MemberAnonymous, Name: "Anonymous"}}}
}

// Encode returns the permissions row.
func (a *ACL) Encode() []byte {
	b := binary.AppendUvarint([]byte{aclVersion}, a.Next)
	b = binary.AppendUvarint(b, uint64(len(a.Entries)))
	for _, e := range a.Entries {
		b = binary.AppendUvarint(b, e.Member)
		b = row.AppendText(row.AppendText(b, string(e.SID)), e.Name)
		b = binary.AppendUvarint(b, uint64(e.Rights))
	}
	return b
}

// DecodeACL reads a permissions row.
func DecodeACL(v []byte) (*ACL, error) {
	d := NewReader(v)
	if d.Byte() != aclVersion {
		d.Bad = true
	}
	a := &ACL{Next: d.Uvarint()}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		a.Entries = append(a.Entries, Permission{d.Uvarint(), d.Copied(), d.Text(), Rights(d.Uvarint())})
	}
	return a, d.Err("permissions")
}

// ReadACLs returns the permissions of all folders that have entries.
func ReadACLs(ctx context.Context, r kv.Reader, n Number) (map[FolderID]*ACL, error) {
	out := map[FolderID]*ACL{}
	p := n.Key(SubPermissions)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: PrefixEnd(p)})
	for it.Next() {
		a, err := DecodeACL(it.Value())
		if err != nil || len(it.Key()) != len(p)+6 {
			it.Close()
			return nil, Corrupt("permissions")
		}
		out[FolderID(Get48(it.Key()[len(p):]))] = a
	}
	return out, content.Wrap("store.rights", "mailbox", it.Close())
}
