package org

import (
	"context"
	"strings"
	"sync"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// cache remembers recipients of one state of the directory. Asking it costs a
// look at the directory's USN; a newer one empties it.
type cache struct {
	max int

	mu     sync.RWMutex
	usn    int64
	inv    model.GUID
	byAddr map[model.Address]*Recipient // local part in lower case
	byGUID map[model.GUID]*Recipient
}

func (c *cache) address(root *directory.Root, a model.Address) *Recipient {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.usn != root.HighestUSN || c.inv != root.Invocation {
		return nil
	}
	return c.byAddr[a]
}

func (c *cache) guid(root *directory.Root, g model.GUID) *Recipient {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.usn != root.HighestUSN || c.inv != root.Invocation {
		return nil
	}
	return c.byGUID[g]
}

// put remembers r as the state that root describes has it.
func (c *cache) put(root *directory.Root, a model.Address, r *Recipient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inv == root.Invocation && c.usn > root.HighestUSN {
		return
	}
	if c.usn != root.HighestUSN || c.inv != root.Invocation || len(c.byAddr) >= c.max || len(c.byGUID) >= c.max {
		c.usn, c.inv = root.HighestUSN, root.Invocation
		c.byAddr, c.byGUID = map[model.Address]*Recipient{}, map[model.GUID]*Recipient{}
	}
	if !a.IsZero() {
		c.byAddr[a] = r
	}
	c.byGUID[r.GUID] = r
}

// Resolve implements Directory.
func (o *Org) Resolve(ctx context.Context, a model.Address) (*Recipient, error) {
	const op = "org.resolve"
	key := model.Address{Local: strings.ToLower(a.Local), Domain: strings.ToLower(a.Domain)}
	if key.IsZero() {
		return nil, model.E(op, model.KindNotFound, "<>", nil)
	}
	root := o.dir.Root()
	if r := o.cache.address(&root, key); r != nil {
		return r, nil
	}
	found, err := o.byFilter(ctx, ldap.Equal("proxyAddresses", "smtp:"+key.String()))
	if err != nil {
		return nil, unavailable(op, a.String(), err)
	}
	switch {
	case len(found) == 0:
		return nil, model.E(op, model.KindNotFound, a.String(), nil)
	case len(found) > 1:
		// Which of them is meant is for the administrator to settle.
		return nil, model.E(op, model.KindUnavailable, a.String()+" belongs to several objects", nil)
	}
	o.cache.put(&root, key, found[0])
	return found[0], nil
}

// byFilter returns the recipients of the forest that match.
func (o *Org) byFilter(ctx context.Context, f *ldap.Filter) (out []*Recipient, err error) {
	entries, err := directory.Find(ctx, o.dir, directory.AsSystem,
		&directory.Search{Scope: directory.Subtree, Global: true, Filter: f, Attributes: recipientAttributes, Limit: maxFound})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if kindOf(e) == 0 {
			continue
		}
		r, err := o.recipient(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// maxFound bounds what a search for one recipient may return.
const maxFound = 16

// Recipient implements Directory. Objects without mail are found too; their
// Kind is 0.
func (o *Org) Recipient(ctx context.Context, g model.GUID) (*Recipient, error) {
	const op = "org.recipient"
	root := o.dir.Root()
	if r := o.cache.guid(&root, g); r != nil {
		return r, nil
	}
	e, err := directory.Get(ctx, o.dir, directory.AsSystem, directory.GUIDName(g), recipientAttributes...)
	if model.IsKind(err, model.KindNotFound) {
		return nil, model.E(op, model.KindNotFound, g.String(), nil)
	}
	if err != nil {
		return nil, unavailable(op, g.String(), err)
	}
	r, err := o.recipient(ctx, e)
	if err != nil {
		return nil, unavailable(op, g.String(), err)
	}
	o.cache.put(&root, model.Address{}, r)
	return r, nil
}

// Members implements Directory. Those of a dynamic group are what its filter
// finds now.
func (o *Org) Members(ctx context.Context, group model.GUID) ([]*Recipient, error) {
	const op = "org.members"
	e, err := directory.Get(ctx, o.dir, directory.AsSystem, directory.GUIDName(group),
		"objectClass", "msExchDynamicDLFilter", "msExchDynamicDLBaseDN")
	if model.IsKind(err, model.KindNotFound) {
		return nil, model.E(op, model.KindNotFound, group.String(), nil)
	}
	if err != nil {
		return nil, unavailable(op, group.String(), err)
	}
	s := &directory.Search{Scope: directory.Subtree, Global: true, Attributes: recipientAttributes}
	switch {
	case e.Is("msExchDynamicDistributionList"):
		f, err := ldap.ParseFilter(e.Text("msExchDynamicDLFilter"))
		if err != nil {
			return nil, unavailable(op, e.DN, err)
		}
		s.Filter, s.Base = ldap.And(ldap.Present("mailNickname"), f), e.Text("msExchDynamicDLBaseDN")
	case e.Is("group"):
		s.Filter = ldap.Equal("memberOf", e.DN)
	default:
		return nil, model.E(op, model.KindInvalid, e.DN+" is no group", nil)
	}
	entries, err := directory.Find(ctx, o.dir, directory.AsSystem, s)
	if err != nil {
		return nil, unavailable(op, e.DN, err)
	}
	var out []*Recipient
	for _, m := range entries {
		if kindOf(m) == 0 || m.GUID() == group {
			continue
		}
		r, err := o.recipient(ctx, m)
		if err != nil {
			return nil, unavailable(op, e.DN, err)
		}
		out = append(out, r)
	}
	return out, nil
}
