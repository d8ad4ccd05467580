package org

import (
	"context"
	"slices"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// MailboxEnable gives an account a mailbox: its place in a store at once, then
// addresses and address lists as the Recipient Update Service would. If it is
// interrupted in between, a second call completes it. KindExists if the account
// has a mailbox with addresses already, or an extra address is taken.
func (o *Org) MailboxEnable(ctx context.Context, p directory.Principal, user model.GUID, m NewMailbox) (*Recipient, error) {
	const op = "org.mailboxenable"
	e, err := o.get(ctx, user, stampAttributes...)
	if err != nil {
		return nil, err
	}
	switch {
	case !e.Is("user"):
		return nil, model.E(op, model.KindInvalid, e.DN+" is no account", nil)
	case e.Values("homeMDB") != nil && e.Values("proxyAddresses") != nil && e.Values("msExchMailboxGuid") != nil:
		return nil, model.E(op, model.KindExists, e.DN+" has a mailbox", nil)
	}
	alias := firstOf(aliasOf(m.Alias), e.Text("mailNickname"), aliasOf(e.Text("sAMAccountName")))
	if alias == "" || m.Alias != "" && aliasOf(m.Alias) != m.Alias {
		return nil, model.E(op, model.KindInvalid, "alias "+m.Alias, nil)
	}
	s := o.now.Load()
	home, err := s.mailboxStore(m.Store)
	if err != nil {
		return nil, err
	}
	st := stamp{o: o, s: s, e: e, g: user}
	st.want("mailNickname", alias)
	st.want("homeMDB", home.dn)
	if srv := s.serverNamed(home.server); srv != nil {
		st.want("msExchHomeServerName", srv.LegacyDN)
		if mta := o.mta(ctx, s, srv); mta != "" {
			st.want("homeMTA", mta)
		}
	}
	st.fill("mDBUseDefaults", "TRUE")
	if g := m.Mailbox; e.Values("msExchMailboxGuid") == nil || !g.IsZero() {
		if g.IsZero() {
			g = model.NewGUID()
		}
		st.mods = append(st.mods, directory.Modification{Op: directory.Replace, Attr: directory.Octets("msExchMailboxGuid", g[:])})
	}
	if len(m.Addresses) > 0 {
		proxies := e.Texts("proxyAddresses")
		for _, a := range m.Addresses {
			if v := "smtp:" + a.String(); !slices.Contains(proxies, v) {
				proxies = append(proxies, v)
			}
		}
		st.want("proxyAddresses", proxies...)
	}
	if err := o.dir.Modify(ctx, p, directory.GUIDName(user), st.mods); err != nil {
		return nil, err
	}
	if err := o.UpdateRecipient(ctx, p, user); err != nil {
		return nil, err
	}
	return o.Recipient(ctx, user)
}

// MailEnable gives an account, contact or group addresses without a mailbox. An
// account or contact needs a target, where its mail goes; a group has none.
// KindExists if the object has addresses already.
func (o *Org) MailEnable(ctx context.Context, p directory.Principal, g model.GUID, alias string, target model.Address) (*Recipient, error) {
	const op = "org.mailenable"
	e, err := o.get(ctx, g, stampAttributes...)
	if err != nil {
		return nil, err
	}
	group := e.Is("group")
	switch {
	case e.Values("proxyAddresses") != nil:
		return nil, model.E(op, model.KindExists, e.DN+" has addresses", nil)
	case !group && !e.Is("user") && !e.Is("contact"), group != target.IsZero():
		return nil, model.E(op, model.KindInvalid, e.DN, nil)
	case alias != aliasOf(alias):
		return nil, model.E(op, model.KindInvalid, "alias "+alias, nil)
	}
	st := stamp{o: o, s: o.now.Load(), e: e, g: g}
	st.want("mailNickname", firstOf(alias, e.Text("mailNickname"), aliasOf(e.Text("sAMAccountName")), aliasOf(e.Text("cn"))))
	if !group {
		if taken, err := o.taken(ctx, g, "proxyAddresses", "smtp:"+target.String()); err != nil || taken {
			if err == nil {
				err = model.E(op, model.KindExists, target.String(), nil)
			}
			return nil, err
		}
		st.want("targetAddress", "SMTP:"+target.String())
	}
	if err := o.dir.Modify(ctx, p, directory.GUIDName(g), st.mods); err != nil {
		return nil, err
	}
	if err := o.UpdateRecipient(ctx, p, g); err != nil {
		return nil, err
	}
	return o.Recipient(ctx, g)
}

// mailboxStore finds a mailbox store, for the zero GUID the first of this
// server.
func (s *snapshot) mailboxStore(g model.GUID) (storeRef, error) {
	if g.IsZero() {
		for _, sg := range s.config.Server.StorageGroups {
			for _, st := range sg.Stores {
				if !st.Public && !sg.Recovery && g.IsZero() {
					g = st.GUID
				}
			}
		}
	}
	for _, ref := range s.stores {
		if ref.guid == g && !ref.public {
			return ref, nil
		}
	}
	return storeRef{}, model.E("org.mailboxenable", model.KindNotFound, "mailbox store "+g.String(), nil)
}

// mailAttributes are those that make an account a recipient.
var mailAttributes = []string{"mailNickname", "legacyExchangeDN", "proxyAddresses", "mail", "textEncodedORAddress", "targetAddress",
	"showInAddressBook", "homeMDB", "homeMTA", "msExchHomeServerName", "msExchMailboxGuid", "mDBUseDefaults", "mDBStorageQuota",
	"mDBOverQuotaLimit", "mDBOverHardQuotaLimit", "msExchPoliciesIncluded", "msExchPoliciesExcluded", "msExchUserAccountControl",
	"altRecipient", "deliverAndRedirect", "msExchHideFromAddressLists", "delivContLength", "submissionContLength", "msExchRecipLimit",
	"protocolSettings", "authOrig", "unauthOrig", "dLMemSubmitPerms", "dLMemRejectPerms", "publicDelegates"}

// MailboxDisable takes a user's mailbox away; the store keeps it for the time
// set on it. It serves for mail-enabled users, contacts and groups too.
func (o *Org) MailboxDisable(ctx context.Context, p directory.Principal, user model.GUID) error {
	e, err := o.get(ctx, user, mailAttributes...)
	if err != nil {
		return err
	}
	var mods []directory.Modification
	for _, name := range mailAttributes {
		if e.Values(name) != nil {
			mods = append(mods, directory.Modification{Op: directory.Replace, Attr: directory.Attribute{Name: name}})
		}
	}
	if len(mods) == 0 {
		return model.E("org.mailboxdisable", model.KindNotFound, e.DN+" has no mailbox", nil)
	}
	return o.dir.Modify(ctx, p, directory.GUIDName(user), mods)
}
