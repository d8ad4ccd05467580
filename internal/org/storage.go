package org

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// NewStore is a mailbox store to be made. Zero limits are Exchange's defaults:
// no quota, deleted items for a week, deleted mailboxes for thirty days.
type NewStore struct {
	Name          string
	Group         string // name or GUID of a storage group of this server
	WarnQuota     int64  // octets; kept as KB
	SendQuota     int64
	HardQuota     int64
	KeepItems     time.Duration
	KeepMailboxes time.Duration
	UntilBackup   bool // keep deleted items until they are in a backup
}

const (
	defaultKeepItems     = 7 * 24 * time.Hour
	defaultKeepMailboxes = 30 * 24 * time.Hour
	keepByAge            = 5          // deletedItemFlags of a fresh store
	groupFlags           = 0x60000000 // may be renamed and moved (MS-ADTS 2.2.10)
	maxStorageName       = 64         // rangeUpper of cn
)

// storageName refuses names that the directory does not take, that make no file
// name, or that would be mistaken for a GUID.
func storageName(op, name string) error {
	_, isGUID := model.ParseGUID(name)
	switch {
	case name == "", strings.TrimSpace(name) != name, !utf8.ValidString(name), utf8.RuneCountInString(name) > maxStorageName, isGUID == nil,
		strings.ContainsAny(name, `"/\<>|*?:`), strings.Trim(name, ".") == "", strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return model.E(op, model.KindInvalid, fmt.Sprintf("name %q: it must have 1 to %d characters, none of \"/\\<>|*?:, and no space at its ends", name, maxStorageName), nil)
	}
	return nil
}

// home returns the DN of this server and of its information store.
func (o *Org) home() (s *snapshot, server, is string, err error) {
	s = o.now.Load()
	e := s.servers[s.config.Server.GUID]
	if e == nil {
		return nil, "", "", model.E("org.storage", model.KindNotFound, "server "+s.config.Server.Name, nil)
	}
	return s, e.DN, "CN=InformationStore," + e.DN, nil
}

// StorageGroup finds a storage group of this server by its name or GUID.
func (c *Config) StorageGroup(name string) (StorageGroup, error) {
	for _, g := range c.Server.StorageGroups {
		if strings.EqualFold(g.Name, name) || g.GUID.String() == strings.ToLower(strings.Trim(name, "{}")) {
			return g, nil
		}
	}
	return StorageGroup{}, model.E("org.storagegroup", model.KindNotFound, "storage group "+name, nil)
}

// CreateStorageGroup makes a storage group on this server, as Setup makes the
// first. KindExists if there is one of that name. How many an edition of
// Exchange allowed is not enforced.
func (o *Org) CreateStorageGroup(ctx context.Context, p directory.Principal, name string) (model.GUID, error) {
	const op = "org.createstoragegroup"
	if err := cmp.Or(mayManage(op, p), storageName(op, name)); err != nil {
		return model.GUID{}, err
	}
	s, _, is, err := o.home()
	if err != nil {
		return model.GUID{}, err
	}
	if _, err := s.config.StorageGroup(name); err == nil {
		return model.GUID{}, model.E(op, model.KindExists, "storage group "+name, nil)
	}
	groups, err := directory.Find(ctx, o.dir, directory.AsSystem, &directory.Search{Base: is, Scope: directory.Subtree,
		Filter: ldap.Equal("objectClass", "msExchStorageGroup"), Attributes: []string{"msExchESEParamBaseName"}})
	if err != nil {
		return model.GUID{}, err
	}
	var a attrs
	a.add("objectClass", "msExchStorageGroup")
	a.add("displayName", name)
	a.add("systemFlags", strconv.Itoa(groupFlags))
	a.add("msExchESEParamBaseName", freeBaseName(groups))
	a.add("msExchESEParamCircularLog", "0")
	a.add("msExchRecovery", "FALSE")
	return o.create(ctx, name, is, a)
}

// freeBaseName is the first of E00, E01… E99, E100… that no storage group has.
func freeBaseName(groups []*directory.Entry) string {
	for n := 0; ; n++ {
		base := fmt.Sprintf("E%02d", n)
		if !slices.ContainsFunc(groups, func(e *directory.Entry) bool { return strings.EqualFold(e.Text("msExchESEParamBaseName"), base) }) {
			return base
		}
	}
}

// DeleteStorageGroup deletes a storage group of this server. KindConflict if
// there are stores in it.
func (o *Org) DeleteStorageGroup(ctx context.Context, p directory.Principal, g model.GUID) error {
	const op = "org.deletestoragegroup"
	if err := mayManage(op, p); err != nil {
		return err
	}
	e, err := o.get(ctx, g, "objectClass", "cn")
	if err != nil {
		return err
	}
	if !e.Is("msExchStorageGroup") {
		return model.E(op, model.KindInvalid, e.DN+" is no storage group", nil)
	}
	in, err := directory.Find(ctx, o.dir, directory.AsSystem, &directory.Search{Base: e.DN, Scope: directory.One, Attributes: []string{"cn"}})
	if err != nil {
		return err
	}
	if len(in) > 0 {
		return model.E(op, model.KindConflict, fmt.Sprintf("storage group %s holds %d stores, %q first; delete them before it", e.Text("cn"), len(in), in[0].Text("cn")), nil)
	}
	return o.dir.Delete(ctx, directory.AsSystem, directory.GUIDName(g))
}

// CreateStore makes a mailbox store on this server with everything that Setup
// gives the first. KindExists if the server has a store of that name, in any
// group: administrators name stores without their group.
func (o *Org) CreateStore(ctx context.Context, p directory.Principal, n NewStore) (model.GUID, error) {
	const op = "org.createstore"
	if err := cmp.Or(mayManage(op, p), storageName(op, n.Name)); err != nil {
		return model.GUID{}, err
	}
	if min(n.WarnQuota, n.SendQuota, n.HardQuota, int64(n.KeepItems), int64(n.KeepMailboxes)) < 0 {
		return model.GUID{}, model.E(op, model.KindInvalid, "a limit is below zero", nil)
	}
	s, server, is, err := o.home()
	if err != nil {
		return model.GUID{}, err
	}
	g, err := s.config.StorageGroup(n.Group)
	if err != nil {
		return model.GUID{}, err
	}
	if g.Recovery {
		return model.GUID{}, model.E(op, model.KindInvalid, g.Name+" is a recovery storage group", nil)
	}
	for _, sg := range s.config.Server.StorageGroups {
		for _, st := range sg.Stores {
			if strings.EqualFold(st.Name, n.Name) {
				return model.GUID{}, model.E(op, model.KindExists, "store "+st.Name+" in "+sg.Name, nil)
			}
		}
	}
	a, err := o.storeAttributes(ctx, s, server, g, n)
	if err != nil {
		return model.GUID{}, err
	}
	return o.create(ctx, n.Name, "CN="+ldap.EscapeDN(g.Name)+","+is, a)
}

func (o *Org) storeAttributes(ctx context.Context, s *snapshot, server string, g StorageGroup, n NewStore) (a attrs, err error) {
	e, err := directory.Get(ctx, o.dir, directory.AsSystem, server, "msExchInstallPath", "legacyExchangeDN")
	if err != nil {
		return nil, err
	}
	a.add("objectClass", "msExchPrivateMDB")
	a.add("deliveryMechanism", "1")
	a.add("displayName", n.Name)
	// How Exchange told the names of further stores apart is not known; what
	// counts is that they differ.
	id := model.NewGUID()
	a.add("legacyExchangeDN", fmt.Sprintf("%s/cn=Microsoft Private MDB %x", e.Text("legacyExchangeDN"), id[:4]))
	a.add("msExchOwningServer", server)
	if dir := e.Text("msExchInstallPath"); dir != "" {
		base := filepath.Join(dir, "mdbdata", g.Name, n.Name)
		a.add("msExchEDBFile", base+".edb")
		a.add("msExchSLVFile", base+".stm")
	}
	for _, ref := range s.stores {
		if ref.public && strings.EqualFold(ref.server, s.config.Server.Name) {
			a.add("msExchHomePublicMDB", ref.dn)
			break
		}
	}
	books, err := directory.Find(ctx, o.dir, directory.AsSystem, &directory.Search{Base: s.orgDN, Scope: directory.Subtree,
		Filter: ldap.And(ldap.Equal("objectClass", "msExchOAB"), ldap.Equal("msExchOABDefault", "TRUE")), Attributes: []string{"cn"}})
	if err != nil {
		return nil, err
	}
	if len(books) > 0 {
		a.add("msExchUseOAB", books[0].DN)
	}
	flags := keepByAge
	if n.UntilBackup {
		flags = keepUntilBackup
	}
	a.add("deletedItemFlags", strconv.Itoa(flags))
	a.add("garbageCollPeriod", inSeconds(cmp.Or(n.KeepItems, defaultKeepItems)))
	a.add("msExchMailboxRetentionPeriod", inSeconds(cmp.Or(n.KeepMailboxes, defaultKeepMailboxes)))
	a.add("msExchEDBOffline", "FALSE")
	for name, q := range map[string]int64{"mDBStorageQuota": n.WarnQuota, "mDBOverQuotaLimit": n.SendQuota, "mDBOverHardQuotaLimit": n.HardQuota} {
		if q > 0 {
			a.add(name, strconv.FormatInt((q+1023)/1024, 10))
		}
	}
	return a, nil
}

func inSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// Homed counts the recipients whose mailbox is in a store.
func (o *Org) Homed(ctx context.Context, store model.GUID) (n int, err error) {
	e, err := o.get(ctx, store, "cn")
	if err != nil {
		return 0, err
	}
	_, err = o.dir.Search(ctx, directory.AsSystem, &directory.Search{Base: o.dir.Root().Domain, Scope: directory.Subtree,
		Filter: ldap.Equal("homeMDB", e.DN), Attributes: []string{"cn"}}, func(*directory.Entry) error { n++; return nil })
	return n, err
}

// StillHomed is the refusal to delete a store with n mailboxes.
func StillHomed(op string, n int) error {
	return model.E(op, model.KindConflict, fmt.Sprintf("mailboxes in the store: %d; give their owners others, or none (rialto mailbox disable), first", n), nil)
}

// DeleteStore deletes a mailbox store that no mailbox is in; KindConflict if
// there are any. The System Attendant of its server moves to another store, if
// there is one.
func (o *Org) DeleteStore(ctx context.Context, p directory.Principal, store model.GUID) error {
	const op = "org.deletestore"
	if err := mayManage(op, p); err != nil {
		return err
	}
	s, server, _, err := o.home()
	if err != nil {
		return err
	}
	ref, err := s.mailboxStore(store)
	if err != nil || store.IsZero() || !strings.EqualFold(ref.server, s.config.Server.Name) {
		return model.E(op, model.KindNotFound, "mailbox store "+store.String()+" of this server", nil)
	}
	n, err := o.Homed(ctx, store)
	if err != nil {
		return err
	}
	if n > 0 {
		return StillHomed(op, n)
	}
	if err := o.rehome(ctx, s, "CN=Microsoft System Attendant,"+server, ref); err != nil {
		return err
	}
	return o.dir.Delete(ctx, directory.AsSystem, directory.GUIDName(store))
}

func (o *Org) rehome(ctx context.Context, s *snapshot, attendant string, from storeRef) error {
	e, err := directory.Get(ctx, o.dir, directory.AsSystem, attendant, "homeMDB")
	if model.IsKind(err, model.KindNotFound) {
		return nil
	}
	if err != nil || dnKey(e.Text("homeMDB")) != dnKey(from.dn) {
		return err
	}
	to := directory.Attribute{Name: "homeMDB"}
	for _, ref := range s.stores {
		if ref.guid != from.guid && !ref.public && ref.server == from.server {
			to = directory.Attr("homeMDB", ref.dn)
		}
	}
	return o.dir.Modify(ctx, directory.AsSystem, attendant, []directory.Modification{{Op: directory.Replace, Attr: to}})
}

// StoreCreated notes that the database of a store has been made, so that it is
// never taken for a new one when it is missing.
func (o *Org) StoreCreated(ctx context.Context, store model.GUID) error {
	return o.Modify(ctx, directory.AsSystem, store, directory.Modification{Op: directory.Replace, Attr: directory.Attr("msExchDatabaseCreated", "TRUE")})
}
