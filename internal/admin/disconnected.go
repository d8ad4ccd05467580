package admin

import (
	"context"
	"time"

	"rialto/internal/attendant"
	"rialto/internal/model"
	"rialto/internal/org"
)

// ListDisconnected lists the mailboxes that belong to nobody.
func (a *Admin) ListDisconnected(ctx context.Context, c Caller, _ Nothing) ([]attendant.Disconnected, error) {
	if err := a.allow(c, "mailbox.disconnected"); err != nil {
		return nil, err
	}
	if err := a.Stores.CleanMailboxes(ctx); err != nil {
		return nil, err
	}
	return a.Stores.Disconnected(ctx)
}

// Reconnect gives a disconnected mailbox to an account that has none.
type Reconnect struct {
	Mailbox string `json:"mailbox"` // its GUID
	User    string `json:"user"`
	Alias   string `json:"alias,omitempty"`
}

// ReconnectMailbox gives a disconnected mailbox to an account.
func (a *Admin) ReconnectMailbox(ctx context.Context, c Caller, in Reconnect) (*Recipient, error) {
	const op = "mailbox.reconnect"
	r, err := a.reconnect(ctx, c, op, in)
	if err = a.audit(ctx, c, op, in.Mailbox+" to "+in.User, err); err != nil {
		return nil, err
	}
	return a.show(r), nil
}

func (a *Admin) reconnect(ctx context.Context, c Caller, op string, in Reconnect) (*org.Recipient, error) {
	r, err := a.find(ctx, c, op, in.User, userKind)
	if err != nil {
		return nil, err
	}
	guid, err := model.ParseGUID(in.Mailbox)
	if err != nil {
		return nil, model.E(op, model.KindInvalid, "mailbox "+in.Mailbox, err)
	}
	if err := a.Stores.CleanMailboxes(ctx); err != nil {
		return nil, err
	}
	box, st, err := a.Stores.FindDisconnected(ctx, guid)
	if err != nil {
		return nil, err
	}
	if r, err = a.Org.MailboxEnable(ctx, c.Principal, r.GUID, org.NewMailbox{Store: st.GUID, Alias: in.Alias, Mailbox: guid}); err != nil {
		return nil, err
	}
	if err := box.Disconnect(ctx, time.Time{}); err != nil {
		return nil, err
	}
	return r, box.Rename(ctx, r.Name)
}

// PurgeMailbox deletes a disconnected mailbox for good, before its time.
func (a *Admin) PurgeMailbox(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	const op = "mailbox.purge"
	err := a.allow(c, op)
	if err == nil {
		err = a.purge(ctx, op, n.Name)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

func (a *Admin) purge(ctx context.Context, op, name string) error {
	guid, err := model.ParseGUID(name)
	if err != nil {
		return model.E(op, model.KindInvalid, "mailbox "+name, err)
	}
	if err := a.Stores.CleanMailboxes(ctx); err != nil {
		return err
	}
	box, _, err := a.Stores.FindDisconnected(ctx, guid)
	if err != nil {
		return err
	}
	return box.Database().DeleteMailbox(ctx, guid)
}

// Warned says how many owners were warned.
type Warned struct {
	Sent int `json:"sent"`
}

// WarnMailboxes warns the owners of mailboxes over a limit now.
func (a *Admin) WarnMailboxes(ctx context.Context, c Caller, _ Nothing) (*Warned, error) {
	const op = "mailbox.warn"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, "all stores", err)
	}
	n, err := a.Stores.WarnQuotas(ctx, true)
	return &Warned{n}, a.audit(ctx, c, op, "all stores", err)
}
