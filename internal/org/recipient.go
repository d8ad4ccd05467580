package org

import (
	"context"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// recipientAttributes are all that a Recipient is made of.
var recipientAttributes = []string{"objectClass", "objectGUID", "objectSid", "cn", "displayName", "mailNickname", "sAMAccountName",
	"userPrincipalName", "legacyExchangeDN", "proxyAddresses", "mail", "targetAddress", "msExchHideFromAddressLists", "userAccountControl",
	"msExchMailboxGuid", "homeMDB", "msExchHomeServerName", "mDBUseDefaults", "mDBStorageQuota", "mDBOverQuotaLimit", "mDBOverHardQuotaLimit",
	"altRecipient", "deliverAndRedirect", "msExchRequireAuthToSendTo", "delivContLength", "submissionContLength", "msExchRecipLimit",
	"authOrig", "unauthOrig", "dLMemSubmitPerms", "dLMemRejectPerms", "publicDelegates", "reportToOriginator", "reportToOwner", "managedBy",
	"hideDLMembership", "protocolSettings", "garbageCollPeriod", "deletedItemFlags"}

// accountDisabled is the bit of userAccountControl (MS-ADTS 2.2.16).
const accountDisabled = 2

// recipient makes a Recipient of an entry.
func (o *Org) recipient(ctx context.Context, e *directory.Entry) (*Recipient, error) {
	r := &Recipient{GUID: e.GUID(), Kind: kindOf(e), User: e.Is("user"), Name: e.Text("displayName"), Alias: e.Text("mailNickname"), Account: e.Text("sAMAccountName"),
		UPN: e.Text("userPrincipalName"), DN: e.DN, LegacyDN: e.Text("legacyExchangeDN"), HideFromLists: e.Bool("msExchHideFromAddressLists")}
	if r.Name == "" {
		r.Name = rdnUp(e.DN, 0)
	}
	if v := e.Values("objectSid"); len(v) > 0 {
		r.SID = v[0]
	}
	uac, _ := e.Int("userAccountControl")
	r.Disabled = uac&accountDisabled != 0
	o.addresses(r, e)
	o.limits(r, e)
	if v := e.Values("msExchMailboxGuid"); len(v) > 0 && len(v[0]) == 16 {
		copy(r.MailboxGUID[:], v[0])
	}
	if home := e.Text("homeMDB"); home != "" {
		ref, err := o.store(ctx, home)
		if err != nil {
			return nil, err
		}
		r.StoreGUID, r.HomeServer = ref.guid, ref.server
	}
	if name := e.Text("msExchHomeServerName"); r.HomeServer == "" && name != "" {
		r.HomeServer = name[strings.LastIndexByte(name, '=')+1:]
	}
	protocols := directory.ProtocolSettings(e.Texts("protocolSettings"))
	r.NoPOP, r.NoIMAP, r.NoHTTP = denied(protocols, "POP3"), denied(protocols, "IMAP4"), denied(protocols, "HTTP")
	r.KeepCopy, r.RequireAuth = e.Bool("deliverAndRedirect"), e.Bool("msExchRequireAuthToSendTo")
	r.ReportToSender, r.ReportToOwner, r.HideMembers = e.Bool("reportToOriginator"), e.Bool("reportToOwner"), e.Bool("hideDLMembership")
	return r, o.references(ctx, r, e)
}

// kindOf classifies an entry; 0 if it is no recipient.
func kindOf(e *directory.Entry) RecipientKind {
	mail := e.Values("proxyAddresses") != nil || e.Values("mailNickname") != nil
	target := e.Text("targetAddress") != ""
	switch {
	case e.Is("user") && (e.Values("homeMDB") != nil || e.Values("msExchMailboxGuid") != nil):
		return Mailbox
	case e.Is("user") && target:
		return MailUser
	case e.Is("contact") && (mail || target):
		return Contact
	case e.Is("msExchDynamicDistributionList"):
		return DynamicGroup
	case e.Is("group") && mail:
		return Group
	case e.Is("publicFolder"):
		return PublicFolder
	}
	return 0
}

func (o *Org) addresses(r *Recipient, e *directory.Entry) {
	for _, v := range e.Texts("proxyAddresses") {
		typ, addr, _ := strings.Cut(v, ":")
		if !strings.EqualFold(typ, "SMTP") {
			continue
		}
		a, err := model.ParseAddress(addr)
		if err != nil {
			o.odd(e.DN, "proxyAddresses: "+v)
			continue
		}
		r.Addresses = append(r.Addresses, a)
		if typ == "SMTP" {
			r.Primary = a
		}
	}
	if r.Primary.IsZero() && len(r.Addresses) > 0 {
		r.Primary = r.Addresses[0]
	}
	if t := e.Text("targetAddress"); t != "" {
		typ, addr, found := strings.Cut(t, ":")
		if !found {
			addr = t
		}
		if a, err := model.ParseAddress(addr); err == nil && (!found || strings.EqualFold(typ, "SMTP")) {
			r.Target = a
		} else {
			o.odd(e.DN, "targetAddress: "+t)
		}
	}
	if r.Primary.IsZero() && r.Kind != 0 {
		r.Primary, _ = model.ParseAddress(e.Text("mail"))
	}
}

func (o *Org) limits(r *Recipient, e *directory.Entry) {
	// A mailbox that says nothing has the store's quotas.
	r.UseDefaults = e.Text("mDBUseDefaults") != "FALSE"
	r.WarnQuota = 1024 * number(e, "mDBStorageQuota")
	r.SendQuota = 1024 * number(e, "mDBOverQuotaLimit")
	r.HardQuota = 1024 * number(e, "mDBOverHardQuotaLimit")
	if r.KeepItems = seconds(number(e, "garbageCollPeriod")); r.KeepItems > 0 {
		r.UntilBackup = number(e, "deletedItemFlags") == keepUntilBackup
	}
	r.MaxReceive = 1024 * number(e, "delivContLength")
	r.MaxSend = 1024 * number(e, "submissionContLength")
	r.MaxRecipients = int(number(e, "msExchRecipLimit"))
}

// store finds where a homeMDB is. A store younger than the configuration in
// force is read from the directory.
func (o *Org) store(ctx context.Context, dn string) (storeRef, error) {
	if s := o.now.Load(); s != nil {
		if ref, ok := s.stores[dnKey(dn)]; ok {
			return ref, nil
		}
	}
	g, err := o.guidOf(ctx, dn)
	return storeRef{guid: g, server: rdnUp(dn, 3), dn: dn}, err
}

// guidOf returns the objectGUID of a DN, zero if it does not exist any more.
func (o *Org) guidOf(ctx context.Context, dn string) (model.GUID, error) {
	e, err := directory.Get(ctx, o.dir, directory.AsSystem, dn, "objectGUID")
	if model.IsKind(err, model.KindNotFound) {
		return model.GUID{}, nil
	}
	if err != nil {
		return model.GUID{}, err
	}
	return e.GUID(), nil
}

// references turns the DNs that an entry refers to into GUIDs.
func (o *Org) references(ctx context.Context, r *Recipient, e *directory.Entry) error {
	for _, ref := range []struct {
		attr string
		one  *model.GUID
		many *[]model.GUID
	}{{"altRecipient", &r.ForwardTo, nil}, {"managedBy", &r.Owner, nil}, {"authOrig", nil, &r.AcceptOnly}, {"unauthOrig", nil, &r.Reject},
		{"dLMemSubmitPerms", nil, &r.AcceptMembers}, {"dLMemRejectPerms", nil, &r.RejectMembers}, {"publicDelegates", nil, &r.SendOnBehalf}} {
		for _, dn := range e.Texts(ref.attr) {
			g, err := o.guidOf(ctx, dn)
			if err != nil {
				return err
			}
			if g.IsZero() {
				continue
			}
			if ref.one != nil {
				*ref.one = g
			} else {
				*ref.many = append(*ref.many, g)
			}
		}
	}
	return nil
}

func denied(m map[string]bool, name string) bool {
	on, said := m[name]
	return said && !on
}
