package embedded

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// txn is a change being built. It reads its own writes: objects through
// objects, other keys through keys.
type txn struct {
	d       *DB
	ctx     context.Context
	p       directory.Principal
	b       kv.Batch
	facts   facts
	schema  *schema.Schema
	objects map[dnt]*object
	keys    map[string][]byte // written keys; nil value: deleted
	renamed bool
}

// update runs change as the one writer and returns when it is durable.
func (d *DB) update(ctx context.Context, p directory.Principal, op string, change func(*txn) error) error {
	if p.Level < directory.Administrator {
		return model.E(op, model.KindPermission, "", nil)
	}
	d.mu.Lock()
	b := d.kv.NewBatch()
	t := &txn{d: d, ctx: ctx, p: p, b: b, facts: d.facts, schema: d.schema.Load(), objects: map[dnt]*object{}, keys: map[string][]byte{}}
	if err := change(t); err != nil {
		d.mu.Unlock()
		b.Close()
		return err
	}
	if b.Count() == 0 {
		last := kv.Sequence(d.last.Load())
		d.mu.Unlock()
		b.Close()
		// Nothing was to be done, perhaps because another has just done it.
		return wrap(op, "", d.kv.WaitDurable(ctx, last))
	}
	b.Set(factsKey, t.facts.encode())
	c, err := d.order(ctx, t)
	if err != nil {
		d.mu.Unlock()
		return wrap(op, "", err)
	}
	root := *d.root.Load()
	root.HighestUSN = t.facts.usn
	d.root.Store(&root)
	d.mu.Unlock()
	if err := c.Wait(context.WithoutCancel(ctx)); err != nil {
		return wrap(op, "", err)
	}
	d.notify()
	return nil
}

// order commits what t has built. Once the batch is with the engine the caller's
// patience does not count: numbers that it uses must not be given again.
func (d *DB) order(ctx context.Context, t *txn) (kv.Commit, error) {
	if err := ctx.Err(); err != nil {
		t.b.Close()
		return nil, err
	}
	if t.renamed {
		d.names.step()
		defer d.names.step()
	}
	before := d.last.Swap(ordering)
	c, err := d.kv.Commit(context.WithoutCancel(ctx), t.b)
	if err != nil {
		d.last.Store(before)
		return nil, err
	}
	d.facts = t.facts
	d.last.Store(uint64(c.Sequence()))
	return c, nil
}

// head returns the head of the naming context that an object below it is in.
func (t *txn) head(n dnt) (dnt, error) {
	f := &t.facts
	for n != rootDNT && n != 0 {
		if n == f.schemaHead || n == f.config || n == f.domain {
			return n, nil
		}
		o, err := t.object(n)
		if err != nil {
			return 0, err
		}
		n = o.parent
	}
	return rootDNT, nil
}

// container refuses a parent that can hold no objects: what is deleted, or only
// holds a place in the tree.
func (t *txn) container(n dnt, name string) error {
	if t.facts.domain == 0 {
		return nil // while the tree is being made
	}
	if n != rootDNT {
		o, err := t.object(n)
		if err != nil {
			return err
		}
		if !o.deleted && !o.phantom() {
			return nil
		}
	}
	return model.E("directory.write", model.KindNotFound, name, nil)
}

func (t *txn) get(key []byte) ([]byte, error) {
	if v, ok := t.keys[string(key)]; ok {
		if v == nil {
			return nil, kv.ErrNotFound
		}
		return v, nil
	}
	return t.d.kv.Get(t.ctx, key)
}

func (t *txn) set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	t.keys[string(key)] = value
	t.b.Set(key, value)
}

func (t *txn) del(key []byte) {
	t.keys[string(key)] = nil
	t.b.Delete(key)
}

func (t *txn) object(n dnt) (*object, error) {
	if o := t.objects[n]; o != nil {
		return o, nil
	}
	b, err := t.get(objectKey(n))
	if err != nil {
		return nil, wrap("directory.load", "object", err)
	}
	return decodeObject(n, b)
}

// find is DB.find with this change's own writes.
func (t *txn) find(name string) (dnt, error) {
	notFound := model.E("directory.find", model.KindNotFound, name, nil)
	if g, ok := strings.CutPrefix(name, "<GUID="); ok {
		guid, err := model.ParseGUID(strings.TrimSuffix(g, ">"))
		if err != nil {
			return 0, err
		}
		b, err := t.get(guidKey(guid))
		if errors.Is(err, kv.ErrNotFound) {
			return 0, notFound
		}
		return toDNT(b), wrap("directory.find", name, err)
	}
	dn, err := ldap.ParseDN(name)
	if err != nil {
		return 0, model.E("directory.find", model.KindInvalid, name, err)
	}
	n := rootDNT
	for i := len(dn) - 1; i >= 0; i-- {
		if len(dn[i]) != 1 {
			return 0, notFound
		}
		b, err := t.get(childKey(n, dn[i][0]))
		if errors.Is(err, kv.ErrNotFound) {
			return 0, notFound
		}
		if err != nil {
			return 0, wrap("directory.find", name, err)
		}
		n = toDNT(b)
	}
	return n, nil
}

// put writes an object: its row, indexes and place in the change feed. old is
// nil for a new one.
func (t *txn) put(old, o *object) {
	if o.rdn.Type != "" && !o.phantom() {
		t.facts.usn++
		now := []byte(schema.FormatTime(t.d.clock()))
		if old == nil {
			o.set("uSNCreated", []byte(strconv.FormatInt(t.facts.usn, 10)))
			o.set("whenCreated", now)
		} else if u, ok := schema.Integer([]byte(old.text("uSNChanged"))); ok {
			t.del(usnKey(u))
		}
		o.set("uSNChanged", []byte(strconv.FormatInt(t.facts.usn, 10)))
		o.set("whenChanged", now)
		t.set(usnKey(t.facts.usn), o.n.bytes())
	}
	t.reindex(old, o)
	t.objects[o.n] = o
	t.set(objectKey(o.n), o.encode())
}

// phantom reports whether the object only holds a place in the tree, as the
// upper labels of a domain name do.
func (o *object) phantom() bool { return len(o.attrs) == 0 }

func (t *txn) reindex(old, o *object) {
	before, after := map[string]bool{}, map[string]bool{}
	t.indexKeys(old, before)
	t.indexKeys(o, after)
	for k := range before {
		if !after[k] {
			t.del([]byte(k))
		}
	}
	for k := range after {
		if !before[k] {
			t.set([]byte(k), nil)
		}
	}
}

func (t *txn) indexKeys(o *object, into map[string]bool) {
	if o == nil || o.deleted || o.phantom() {
		return
	}
	for _, a := range o.attrs {
		sa := t.schema.Attribute(a.name)
		if sa == nil || !indexed(sa) {
			continue
		}
		for _, v := range a.values {
			into[string(indexKey(sa.Name, t.normalize(sa, v), o.n))] = true
		}
	}
	// The RDN is an attribute like any other, and "name" besides.
	for _, name := range []string{o.rdn.Type, "name"} {
		if sa := t.schema.Attribute(name); sa != nil && indexed(sa) {
			into[string(indexKey(sa.Name, sa.Normalize([]byte(o.rdn.Value)), o.n))] = true
		}
	}
}

// normalize is the form of a stored value in indexes.
func (t *txn) normalize(a *schema.Attribute, v []byte) []byte {
	if a.Syntax == schema.SyntaxDN {
		return v
	}
	return a.Normalize(v)
}

// newObject makes the row of a new object below parent.
func (t *txn) newObject(parent dnt, rdn ldap.AVA) *object {
	o := &object{n: t.facts.next, parent: parent, rdn: rdn, guid: model.NewGUID()}
	t.facts.next++
	t.set(childKey(parent, rdn), o.n.bytes())
	t.set(guidKey(o.guid), o.n.bytes())
	return o
}

// storeValues turns values from outside into stored ones.
func (t *txn) storeValues(a *schema.Attribute, values [][]byte) ([][]byte, error) {
	out := make([][]byte, 0, len(values))
	for _, v := range values {
		if a.Syntax == schema.SyntaxDN {
			n, err := t.find(string(v))
			if err != nil {
				if model.IsKind(err, model.KindNotFound) {
					err = model.E("directory.write", model.KindInvalid, a.Name+": no such object: "+string(v), nil)
				}
				return nil, err
			}
			out = append(out, n.bytes())
			continue
		}
		if err := a.Check(v); err != nil {
			return nil, err
		}
		out = append(out, bytes.Clone(v))
	}
	if a.Single && len(out) > 1 {
		return nil, model.E("directory.write", model.KindInvalid, a.Name+" is single-valued", nil)
	}
	return out, nil
}

// link sets or clears a linked value.
func (t *txn) link(a *schema.Attribute, from, to dnt, on bool) {
	fwd, back := linkKey(spaceLink, a.Link, from, to), linkKey(spaceBack, a.Link, to, from)
	if on {
		t.set(fwd, nil)
		t.set(back, nil)
	} else {
		t.del(fwd)
		t.del(back)
	}
}

// links lists the targets of a linked attribute (space spaceLink) or its
// sources (spaceBack), with this change's own writes.
func (t *txn) links(space byte, link int, n dnt) ([]dnt, error) {
	out, err := scanLinks(t.ctx, t.d.kv, space, link, n)
	if err != nil {
		return nil, err
	}
	prefix := string(linkKey(space, link, n, 0))
	kept := out[:0]
	for _, m := range out {
		if v, ok := t.keys[prefix+string(m.bytes())]; !ok || v != nil {
			kept = append(kept, m)
		}
	}
	for k, v := range t.keys {
		if v == nil || !strings.HasPrefix(k, prefix) {
			continue
		}
		m := toDNT([]byte(k[len(prefix):]))
		if !containsDNT(kept, m) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func containsDNT(list []dnt, n dnt) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

func scanLinks(ctx context.Context, r kv.Reader, space byte, link int, n dnt) ([]dnt, error) {
	p := linkKey(space, link, n, 0)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: append(bytes.Clone(p), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)})
	var out []dnt
	for it.Next() {
		out = append(out, toDNT(it.Key()[len(p):]))
	}
	return out, wrap("directory.links", "", it.Close())
}
