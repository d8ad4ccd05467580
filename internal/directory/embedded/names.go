package embedded

import (
	"context"
	"errors"
	"strings"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// nameCache remembers the names of objects. Its generation is even, and odd
// while a change of names is being ordered. A reader notes the generation before
// it takes its state: as long as that is the present one, no name has changed
// between the state and the cache.
type nameCache struct {
	mu  sync.RWMutex
	gen uint64
	m   map[dnt]ldap.DN
}

const maxNames = 50000

func (c *nameCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.gen
}

// usable reports whether readers of generation gen may use the cache.
func (c *nameCache) usable(gen uint64) bool { return gen == c.gen && gen&1 == 0 }

func (c *nameCache) get(n dnt, gen uint64) ldap.DN {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.usable(gen) {
		return nil
	}
	return c.m[n]
}

func (c *nameCache) put(n dnt, name ldap.DN, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.usable(gen) {
		return
	}
	if c.m == nil || len(c.m) >= maxNames {
		c.m = map[dnt]ldap.DN{}
	}
	c.m[n] = name
}

// step begins a change of names, and ends it.
func (c *nameCache) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.m = nil
}

// load reads an object.
func (d *DB) load(ctx context.Context, r kv.Reader, n dnt) (*object, error) {
	b, err := r.Get(ctx, objectKey(n))
	if err != nil {
		return nil, wrap("directory.load", "object", err)
	}
	return decodeObject(n, b)
}

// nameOf returns the DN of an object.
func (d *DB) nameOf(ctx context.Context, r kv.Reader, gen uint64, n dnt) (ldap.DN, error) {
	if n == rootDNT {
		return ldap.DN{}, nil
	}
	name := d.names.get(n, gen)
	if name != nil {
		return name, nil
	}
	o, err := d.load(ctx, r, n)
	if err != nil {
		return nil, err
	}
	parent, err := d.nameOf(ctx, r, gen, o.parent)
	if err != nil {
		return nil, err
	}
	name = append(ldap.DN{{o.rdn}}, parent...)
	d.names.put(n, name, gen)
	return name, nil
}

// find returns the number of the object that a name means: a DN, <GUID=…> or
// <SID=…>.
func (d *DB) find(ctx context.Context, r kv.Reader, name string) (dnt, error) {
	notFound := model.E("directory.find", model.KindNotFound, name, nil)
	if g, ok := strings.CutPrefix(name, "<GUID="); ok {
		guid, err := model.ParseGUID(strings.TrimSuffix(g, ">"))
		if err != nil {
			return 0, err
		}
		b, err := r.Get(ctx, guidKey(guid))
		if errors.Is(err, kv.ErrNotFound) {
			return 0, notFound
		}
		return toDNT(b), wrap("directory.find", name, err)
	}
	dn, err := ldap.ParseDN(name)
	if err != nil {
		return 0, model.E("directory.find", model.KindInvalid, name, err)
	}
	return d.findDN(ctx, r, dn, notFound)
}

// findDN walks down from the root. The parts of a domain name are one step
// each, like any other.
func (d *DB) findDN(ctx context.Context, r kv.Reader, dn ldap.DN, notFound error) (dnt, error) {
	n := rootDNT
	for i := len(dn) - 1; i >= 0; i-- {
		if len(dn[i]) != 1 {
			return 0, notFound
		}
		b, err := r.Get(ctx, childKey(n, dn[i][0]))
		if errors.Is(err, kv.ErrNotFound) {
			return 0, notFound
		}
		if err != nil {
			return 0, wrap("directory.find", dn.String(), err)
		}
		n = toDNT(b)
	}
	return n, nil
}
