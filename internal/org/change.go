package org

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// AddMembers puts objects into a group; those in it already stay.
func (o *Org) AddMembers(ctx context.Context, p directory.Principal, group model.GUID, members ...model.GUID) error {
	return o.changeMembers(ctx, p, group, members, true)
}

// RemoveMembers takes objects out of a group; those not in it do no harm.
func (o *Org) RemoveMembers(ctx context.Context, p directory.Principal, group model.GUID, members ...model.GUID) error {
	return o.changeMembers(ctx, p, group, members, false)
}

func (o *Org) changeMembers(ctx context.Context, p directory.Principal, group model.GUID, members []model.GUID, in bool) error {
	e, err := o.get(ctx, group, "objectClass", "member")
	if err != nil {
		return err
	}
	if !e.Is("group") {
		return model.E("org.members", model.KindInvalid, e.DN+" is no group", nil)
	}
	dns, err := o.dnsOf(ctx, members)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, m := range e.Texts("member") {
		present[dnKey(m)] = true
	}
	dns = slices.DeleteFunc(dns, func(dn string) bool { return present[dnKey(dn)] == in })
	if len(dns) == 0 {
		return mayManage("org.members", p)
	}
	mod := directory.Modification{Op: directory.AddValues, Attr: directory.Attr("member", dns...)}
	if !in {
		mod.Op = directory.DeleteValues
	}
	return o.dir.Modify(ctx, p, e.DN, []directory.Modification{mod})
}

// SetPassword stores the PHC string of a new password. An administrator may set
// anybody's, a user his own; that he knows the old one is the caller's to check.
func (o *Org) SetPassword(ctx context.Context, p directory.Principal, user model.GUID, credential string) error {
	const op = "org.setpassword"
	if own := p.Level == directory.User && p.GUID == user && !user.IsZero(); !own {
		if err := mayManage(op, p); err != nil {
			return err
		}
	}
	if !strings.HasPrefix(credential, "$") {
		return model.E(op, model.KindInvalid, "credential", nil)
	}
	e, err := o.get(ctx, user, "objectClass")
	if err != nil {
		return err
	}
	if !e.Is("user") {
		return model.E(op, model.KindInvalid, e.DN+" is no account", nil)
	}
	return o.dir.Modify(ctx, directory.AsSystem, directory.GUIDName(user), []directory.Modification{
		{Op: directory.Replace, Attr: directory.Attr("supplementalCredentials", credential)},
		{Op: directory.Replace, Attr: directory.Attr("pwdLastSet", filetime(o.opts.Clock()))}})
}

// SetDisabled closes an account or opens it again.
func (o *Org) SetDisabled(ctx context.Context, p directory.Principal, user model.GUID, disabled bool) error {
	e, err := o.get(ctx, user, "objectClass", "userAccountControl", "mailNickname")
	if err != nil {
		return err
	}
	uac, ok := e.Int("userAccountControl")
	if !ok || !e.Is("user") {
		return model.E("org.setdisabled", model.KindInvalid, e.DN+" is no account", nil)
	}
	bit := int64(0)
	if disabled {
		bit = accountDisabled
	}
	mods := []directory.Modification{{Op: directory.Replace, Attr: directory.Attr("userAccountControl", strconv.FormatInt(uac&^accountDisabled|bit, 10))}}
	if e.Text("mailNickname") != "" {
		mods = append(mods, directory.Modification{Op: directory.Replace, Attr: directory.Attr("msExchUserAccountControl", strconv.FormatInt(bit, 10))})
	}
	return o.dir.Modify(ctx, p, directory.GUIDName(user), mods)
}

// SetLimits changes the limits of a recipient, or of a store, whose quotas are
// the same attributes.
func (o *Org) SetLimits(ctx context.Context, p directory.Principal, g model.GUID, l Limits) error {
	var mods []directory.Modification
	for _, v := range []struct {
		name  string
		value *int64
		unit  int64
	}{{"mDBStorageQuota", l.WarnQuota, 1024}, {"mDBOverQuotaLimit", l.SendQuota, 1024}, {"mDBOverHardQuotaLimit", l.HardQuota, 1024},
		{"delivContLength", l.MaxReceive, 1024}, {"submissionContLength", l.MaxSend, 1024}, {"msExchRecipLimit", l.MaxRecipients, 1}} {
		if v.value == nil {
			continue
		}
		a := directory.Attribute{Name: v.name}
		if *v.value >= 0 {
			a = directory.Attr(v.name, strconv.FormatInt((*v.value+v.unit-1)/v.unit, 10))
		}
		mods = append(mods, directory.Modification{Op: directory.Replace, Attr: a})
	}
	if l.UseDefaults != nil {
		mods = append(mods, directory.Modification{Op: directory.Replace, Attr: directory.Attr("mDBUseDefaults", boolText(*l.UseDefaults))})
	}
	if len(mods) == 0 {
		return mayManage("org.setlimits", p)
	}
	return o.Modify(ctx, p, g, mods...)
}

func boolText(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// Modify changes any object, configuration included, by its GUID.
func (o *Org) Modify(ctx context.Context, p directory.Principal, g model.GUID, mods ...directory.Modification) error {
	return o.dir.Modify(ctx, p, directory.GUIDName(g), mods)
}

// DeleteObject deletes an account, contact or group. The mailbox of a deleted
// user is left to the store, which keeps it for a while.
func (o *Org) DeleteObject(ctx context.Context, p directory.Principal, g model.GUID) error {
	return o.dir.Delete(ctx, p, directory.GUIDName(g))
}
