package admin

import (
	"context"

	"rialto/internal/model"
	"rialto/internal/org"
)

// Recipient is a recipient as administrators see it.
type Recipient struct {
	GUID      model.GUID `json:"guid"`
	Kind      string     `json:"kind"`
	Name      string     `json:"name"`
	Account   string     `json:"account,omitempty"`
	Alias     string     `json:"alias,omitempty"`
	Address   string     `json:"address,omitempty"`
	Addresses []string   `json:"addresses,omitempty"`
	Target    string     `json:"target,omitempty"`
	DN        string     `json:"dn"`
	Store     string     `json:"store,omitempty"`
	Disabled  bool       `json:"disabled,omitempty"`
}

func (a *Admin) show(r *org.Recipient) *Recipient {
	out := &Recipient{GUID: r.GUID, Kind: kindName(r.Kind), Name: r.Name, Account: r.Account, Alias: r.Alias,
		Address: r.Primary.String(), Target: r.Target.String(), DN: r.DN, Disabled: r.Disabled}
	for _, ad := range r.Addresses {
		out.Addresses = append(out.Addresses, ad.String())
	}
	for _, g := range a.Org.Config().Server.StorageGroups {
		for _, s := range g.Stores {
			if s.GUID == r.StoreGUID {
				out.Store = s.Name
			}
		}
	}
	return out
}

// NoMail is the kind of an object without mail.
const NoMail = "no mail"

func kindName(k org.RecipientKind) string {
	switch k {
	case org.Mailbox:
		return "mailbox"
	case org.MailUser:
		return "mail-user"
	case org.Contact:
		return "contact"
	case org.Group:
		return "group"
	case org.PublicFolder:
		return "public-folder"
	case org.DynamicGroup:
		return "query-group"
	}
	return NoMail
}

// Query selects objects to list.
type Query struct {
	Match string `json:"match"` // beginning of a name, alias or address
	Limit int    `json:"limit"`
	After string `json:"after"` // token of the page before
}

// Page is one page of a list.
type Page struct {
	Items []*Recipient `json:"items"`
	Next  string       `json:"next,omitempty"`
}

// Name names one object.
type Name struct {
	Name string `json:"name"`
}

func (a *Admin) list(ctx context.Context, c Caller, op string, q Query, kinds ...org.RecipientKind) (*Page, error) {
	if err := a.allow(c, op); err != nil {
		return nil, err
	}
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 1000
	}
	p := &Page{Items: []*Recipient{}}
	next, err := a.Org.List(ctx, org.Query{Kinds: kinds, Match: q.Match, Limit: q.Limit, After: q.After}, func(r *org.Recipient) error {
		if r.Kind != userKind || r.User {
			p.Items = append(p.Items, a.show(r))
		}
		return nil
	})
	p.Next = next
	return p, err
}

func (a *Admin) find(ctx context.Context, c Caller, op, name string, kinds ...org.RecipientKind) (*org.Recipient, error) {
	if err := a.allow(c, op); err != nil {
		return nil, err
	}
	r, err := a.Org.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if r.Kind == k {
			return r, nil
		}
	}
	if len(kinds) == 0 {
		return r, nil
	}
	return nil, model.E(op, model.KindInvalid, name+" is a "+kindName(r.Kind), nil)
}

// userKind is the kind of an object without mail.
const userKind org.RecipientKind = 0

// NewUser is an account to be made.
type NewUser struct {
	Account     string `json:"account"`
	DisplayName string `json:"displayName"`
	GivenName   string `json:"givenName"`
	Surname     string `json:"surname"`
	Password    string `json:"password"`
	Alias       string `json:"alias"`
	NoMailbox   bool   `json:"noMailbox"`
	Store       string `json:"store"` // name or GUID; "": the first of the server
}

// CreateUser makes an account, normally with a mailbox.
func (a *Admin) CreateUser(ctx context.Context, c Caller, u NewUser) (*Recipient, error) {
	const op = "user.create"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, u.Account, err)
	}
	r, err := a.createUser(ctx, c, u)
	if err = a.audit(ctx, c, op, u.Account, err); err != nil {
		return nil, err
	}
	return a.show(r), nil
}

func (a *Admin) createUser(ctx context.Context, c Caller, u NewUser) (*org.Recipient, error) {
	home, err := a.home("user.create", u.Store)
	if err != nil {
		return nil, err
	}
	cred := ""
	if u.Password != "" {
		if cred, err = a.Hasher.Hash(ctx, u.Password); err != nil {
			return nil, err
		}
	}
	guid, err := a.Org.CreateUser(ctx, c.Principal, org.NewUser{Account: u.Account, DisplayName: u.DisplayName,
		GivenName: u.GivenName, Surname: u.Surname, Credential: cred})
	if err != nil {
		return nil, err
	}
	if u.NoMailbox {
		return a.Org.Recipient(ctx, guid)
	}
	return a.enable(ctx, c, guid, u.Alias, home)
}

// enable gives a user a mailbox and makes it, so that it can be opened at once.
func (a *Admin) enable(ctx context.Context, c Caller, guid model.GUID, alias string, home model.GUID) (*org.Recipient, error) {
	r, err := a.Org.MailboxEnable(ctx, c.Principal, guid, org.NewMailbox{Alias: alias, Store: home})
	if err != nil {
		return nil, err
	}
	// A store that is not mounted makes the mailbox at its first use.
	if _, err := a.Stores.Mailbox(ctx, r); err != nil && !model.IsKind(err, model.KindUnavailable) {
		return nil, err
	}
	return r, nil
}

// ListUsers lists accounts, with a mailbox or without.
func (a *Admin) ListUsers(ctx context.Context, c Caller, q Query) (*Page, error) {
	return a.list(ctx, c, "user.list", q, userKind, org.Mailbox, org.MailUser)
}

// ShowRecipient shows one object.
func (a *Admin) ShowRecipient(ctx context.Context, c Caller, n Name) (*Recipient, error) {
	r, err := a.find(ctx, c, "show", n.Name)
	if err != nil {
		return nil, err
	}
	return a.show(r), nil
}

// DeleteUser deletes an account. Its mailbox stays in the store, disconnected,
// for as long as the store keeps deleted mailboxes.
func (a *Admin) DeleteUser(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.remove(ctx, c, "user.delete", n, userKind, org.Mailbox, org.MailUser)
}

func (a *Admin) remove(ctx context.Context, c Caller, op string, n Name, kinds ...org.RecipientKind) (*Nothing, error) {
	r, err := a.find(ctx, c, op, n.Name, kinds...)
	if err == nil {
		err = a.Org.DeleteObject(ctx, c.Principal, r.GUID)
		a.forget(r.GUID)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

// forget makes the account prove its password again.
func (a *Admin) forget(guid model.GUID) {
	if a.Passwords != nil {
		a.Passwords.Forget(guid)
	}
}

// Password is a new password for an account.
type Password struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// SetPassword gives an account a new password.
func (a *Admin) SetPassword(ctx context.Context, c Caller, p Password) (*Nothing, error) {
	const op = "user.password"
	r, err := a.find(ctx, c, op, p.Name, userKind, org.Mailbox, org.MailUser)
	if err == nil && p.Password == "" {
		err = model.E(op, model.KindInvalid, "the password is empty", nil)
	}
	if err == nil {
		var cred string
		if cred, err = a.Hasher.Hash(ctx, p.Password); err == nil {
			err = a.Org.SetPassword(ctx, c.Principal, r.GUID, cred)
		}
		a.forget(r.GUID)
	}
	return &Nothing{}, a.audit(ctx, c, op, p.Name, err)
}

// EnableUser lets an account sign in again.
func (a *Admin) EnableUser(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.setDisabled(ctx, c, "user.enable", n, false)
}

// DisableUser keeps an account from signing in. Its mail still arrives.
func (a *Admin) DisableUser(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.setDisabled(ctx, c, "user.disable", n, true)
}

func (a *Admin) setDisabled(ctx context.Context, c Caller, op string, n Name, disabled bool) (*Nothing, error) {
	r, err := a.find(ctx, c, op, n.Name, userKind, org.Mailbox, org.MailUser)
	if err == nil {
		err = a.Org.SetDisabled(ctx, c.Principal, r.GUID, disabled)
		a.forget(r.GUID)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}
