package admin

import (
	"context"
	"maps"
	"slices"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// MailboxInfo is a mailbox with what it holds.
type MailboxInfo struct {
	Recipient
	Items   int64        `json:"items"`
	Unread  int64        `json:"unread"`
	Size    int64        `json:"size"`
	Deleted int64        `json:"recoverable"`
	Folders []FolderInfo `json:"folders,omitempty"`
}

// FolderInfo is a folder of a mailbox.
type FolderInfo struct {
	Name   string `json:"name"`
	Items  uint32 `json:"items"`
	Unread uint32 `json:"unread"`
	Size   int64  `json:"size"`
}

// ListMailboxes lists mailbox-enabled users.
func (a *Admin) ListMailboxes(ctx context.Context, c Caller, q Query) (*Page, error) {
	return a.list(ctx, c, "mailbox.list", q, org.Mailbox)
}

// ShowMailbox shows a mailbox and what it holds.
func (a *Admin) ShowMailbox(ctx context.Context, c Caller, n Name) (*MailboxInfo, error) {
	r, err := a.find(ctx, c, "mailbox.show", n.Name, org.Mailbox)
	if err != nil {
		return nil, err
	}
	out := &MailboxInfo{Recipient: *a.show(r)}
	m, err := a.Stores.Mailbox(ctx, r)
	if err != nil {
		return nil, err
	}
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		a.addFolder(out, folders[id])
	}
	return out, nil
}

func (a *Admin) addFolder(out *MailboxInfo, f *store.Folder) {
	k := f.Counts
	out.Items += int64(k.Total)
	out.Unread += int64(k.Unseen)
	out.Size += k.Size
	out.Deleted += int64(k.Deleted)
	if !f.Hidden {
		out.Folders = append(out.Folders, FolderInfo{f.Name, k.Total, k.Unseen, k.Size})
	}
}

// EnableMailbox gives an account a mailbox.
type EnableMailbox struct {
	Name  string `json:"name"`
	Alias string `json:"alias"`
	Store string `json:"store"` // name or GUID; "": the first of the server
}

// EnableMailbox gives an account a mailbox.
func (a *Admin) EnableMailbox(ctx context.Context, c Caller, e EnableMailbox) (*Recipient, error) {
	const op = "mailbox.enable"
	r, err := a.find(ctx, c, op, e.Name, userKind, org.MailUser)
	if err == nil {
		var home model.GUID
		if home, err = a.home(op, e.Store); err == nil {
			r, err = a.enable(ctx, c, r.GUID, e.Alias, home)
		}
	}
	if err = a.audit(ctx, c, op, e.Name, err); err != nil {
		return nil, err
	}
	return a.show(r), nil
}

// DisableMailbox takes an account's mailbox away; it stays in the store,
// disconnected.
func (a *Admin) DisableMailbox(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	const op = "mailbox.disable"
	r, err := a.find(ctx, c, op, n.Name, org.Mailbox)
	if err == nil {
		err = a.Org.MailboxDisable(ctx, c.Principal, r.GUID)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

// Limits changes the limits of a mailbox. Nil leaves one as it is, a negative
// value removes it.
type Limits struct {
	Name        string `json:"name"`
	UseDefaults *bool  `json:"useDefaults,omitempty"`
	Warn        *int64 `json:"warn,omitempty"`
	Send        *int64 `json:"send,omitempty"`
	Hard        *int64 `json:"hard,omitempty"`
	MaxReceive  *int64 `json:"maxReceive,omitempty"`
	MaxSend     *int64 `json:"maxSend,omitempty"`
}

// SetLimits changes the limits of a mailbox.
func (a *Admin) SetLimits(ctx context.Context, c Caller, l Limits) (*Nothing, error) {
	const op = "mailbox.limits"
	r, err := a.find(ctx, c, op, l.Name, org.Mailbox)
	if err == nil {
		err = a.Org.SetLimits(ctx, c.Principal, r.GUID, org.Limits{UseDefaults: l.UseDefaults, WarnQuota: l.Warn, SendQuota: l.Send,
			HardQuota: l.Hard, MaxReceive: l.MaxReceive, MaxSend: l.MaxSend})
	}
	if err == nil { // those who have it open are bound at once
		if r, e := a.Org.Recipient(ctx, r.GUID); e == nil {
			_, _ = a.Stores.Mailbox(ctx, r) // a store that is not mounted learns it at the mailbox's next use
		}
	}
	return &Nothing{}, a.audit(ctx, c, op, l.Name, err)
}

// VerifyMailbox checks every invariant of a mailbox, reading all content.
func (a *Admin) VerifyMailbox(ctx context.Context, c Caller, n Name) (*store.Verified, error) {
	r, err := a.find(ctx, c, "mailbox.verify", n.Name, org.Mailbox)
	if err != nil {
		return nil, err
	}
	m, err := a.Stores.Mailbox(ctx, r)
	if err != nil {
		return nil, err
	}
	v, err := m.Verify(ctx, true)
	return &v, err
}
