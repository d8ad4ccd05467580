package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

var errNotFound = model.E("directory.find", model.KindNotFound, "", nil)

// searchTime is how long one search may use its snapshot.
const searchTime = 2 * time.Minute

func mustParse(s string) ldap.DN {
	dn, _ := ldap.ParseDN(s) // our own names parse
	return dn
}

// snapshot returns a state that is durable, and the generation of names that is
// valid for it.
func (d *DB) snapshot(ctx context.Context, op string) (kv.Snapshot, uint64, error) {
	gen := d.names.generation() // before the state, so that a later one is told apart
	snap, err := d.kv.NewSnapshot("directory", searchTime)
	if err != nil {
		return nil, 0, wrap(op, "", err)
	}
	gate := min(kv.Sequence(d.last.Load()), snap.Sequence())
	if err := d.kv.WaitDurable(ctx, gate); err != nil {
		snap.Close()
		return nil, 0, wrap(op, "", err)
	}
	return snap, gen, nil
}

// Search implements directory.Directory.
func (d *DB) Search(ctx context.Context, p directory.Principal, s *directory.Search, fn func(*directory.Entry) error) (string, error) {
	const op = "directory.search"
	if p.Level == directory.Anonymous {
		return "", model.E(op, model.KindPermission, s.Base, nil)
	}
	snap, gen, err := d.snapshot(ctx, op)
	if err != nil {
		return "", err
	}
	defer snap.Close()
	q := &query{matcher: matcher{d: d, ctx: ctx, r: snap, names: gen, schema: d.schema.Load(), p: p}, s: s, heads: *d.heads.Load(), under: map[dnt]bool{}}
	if s.Base == "" && s.Global {
		q.base = rootDNT
	} else if q.base, err = d.find(ctx, snap, s.Base); err != nil {
		return "", err
	}
	if base, err := d.load(ctx, snap, q.base); q.base != rootDNT && (err != nil || base.phantom() || base.deleted && !s.Deleted) {
		if err == nil {
			err = model.E(op, model.KindNotFound, s.Base, nil)
		}
		return "", err
	}
	list, err := q.candidates()
	if err == nil {
		err = q.err
	}
	if err != nil {
		return "", err
	}
	return q.run(list, fn)
}

// query is one search on one state.
type query struct {
	matcher
	s     *directory.Search
	base  dnt
	heads heads
	under map[dnt]bool // whether an object lies in the search's scope of containers
}

// run tests the candidates in order of number and hands out what matches.
func (q *query) run(list []dnt, fn func(*directory.Entry) error) (string, error) {
	slices.Sort(list)
	list = slices.Compact(list)
	if q.s.After != "" {
		after, err := strconv.ParseUint(q.s.After, 10, 64)
		if err != nil {
			return "", model.E("directory.search", model.KindInvalid, "paging cookie", err)
		}
		i, _ := slices.BinarySearch(list, dnt(after)+1)
		list = list[i:]
	}
	given := 0
	for _, n := range list {
		if err := q.ctx.Err(); err != nil {
			return "", wrap("directory.search", q.s.Base, err)
		}
		o, err := q.d.load(q.ctx, q.r, n)
		if err != nil {
			return "", err
		}
		ok, err := q.selects(o)
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		if q.s.Limit > 0 && given == q.s.Limit {
			// There is another one: the page ends before it.
			return strconv.FormatUint(uint64(n)-1, 10), nil
		}
		e, err := q.render(o)
		if err != nil {
			return "", err
		}
		if err := fn(e); err != nil {
			return "", err
		}
		given++
	}
	return "", nil
}

func (q *query) selects(o *object) (bool, error) {
	if o.phantom() || o.deleted && !q.s.Deleted {
		return false, nil
	}
	in, err := q.inScope(o)
	if err != nil || !in {
		return false, err
	}
	if q.s.Filter == nil {
		return true, nil
	}
	res := q.match(o, q.s.Filter)
	return res == yes, q.err
}

// inScope reports whether an object is where the search looks. Without Global a
// search stays in the naming context of its base.
func (q *query) inScope(o *object) (bool, error) {
	switch q.s.Scope {
	case directory.Base:
		return o.n == q.base, nil
	case directory.One:
		return o.parent == q.base && (q.s.Global || !q.isHead(o.n)), nil
	}
	if o.n == q.base {
		return true, nil
	}
	if !q.s.Global && q.isHead(o.n) {
		return false, nil
	}
	return q.below(o.parent)
}

func (q *query) isHead(n dnt) bool {
	return slices.Contains(q.heads[:], n)
}

// below reports whether a container is the base or leads up to it.
func (q *query) below(n dnt) (bool, error) {
	if n == q.base {
		return true, nil
	}
	if in, ok := q.under[n]; ok || n == rootDNT || n == 0 {
		return in, nil
	}
	in := false
	if q.s.Global || !q.isHead(n) {
		o, err := q.d.load(q.ctx, q.r, n)
		if err != nil {
			return false, err
		}
		if in, err = q.below(o.parent); err != nil {
			return false, err
		}
	}
	q.under[n] = in
	return in, nil
}

// candidates returns the objects worth testing: by an index if the filter has
// one, else all in scope.
func (q *query) candidates() ([]dnt, error) {
	if q.s.Scope == directory.Base {
		return []dnt{q.base}, nil
	}
	if q.s.Filter != nil {
		list, ok, err := q.byIndex(q.s.Filter)
		if ok || err != nil {
			return list, err
		}
	}
	list := []dnt{q.base}
	for i := 0; i < len(list); i++ {
		if q.s.Scope == directory.One && i > 0 {
			break
		}
		if i > 0 && !q.s.Global && q.isHead(list[i]) {
			continue
		}
		it := q.r.Scan(q.ctx, kv.Range{Lower: key64(spaceChild, uint64(list[i])), Upper: key64(spaceChild, uint64(list[i])+1)})
		for it.Next() {
			list = append(list, toDNT(it.Value()))
		}
		if err := it.Close(); err != nil {
			return nil, wrap("directory.search", q.s.Base, err)
		}
	}
	if q.base == rootDNT {
		list = list[1:] // above all entries, and none itself
	}
	return list, nil
}

// byIndex finds a superset of what the filter matches; ok is false if no index
// serves it.
func (q *query) byIndex(f *ldap.Filter) (list []dnt, ok bool, err error) {
	switch f.Kind {
	case ldap.FilterAnd:
		return q.bestOf(f.Children)
	case ldap.FilterOr:
		for _, c := range f.Children {
			l, ok, err := q.byIndex(c)
			if !ok || err != nil {
				return nil, false, err
			}
			list = append(list, l...)
		}
		return list, len(f.Children) > 0, nil
	case ldap.FilterEqual:
		return q.byValue(f)
	case ldap.FilterSubstrings:
		sa := q.schema.Attribute(f.Attr)
		if sa == nil || !indexed(sa) || len(f.Sub.Initial) == 0 || sa.Syntax != schema.SyntaxText || !readable(q.p, sa) {
			return nil, false, nil
		}
		list, err = q.byPrefix(indexPrefix(sa.Name, []byte(strings.ToLower(string(f.Sub.Initial)))))
		return list, true, err
	case ldap.FilterPresent:
		sa := q.schema.Attribute(f.Attr)
		if sa == nil || !indexed(sa) || sa.Name == "name" || sa.Name == "cn" || sa.Name == "objectCategory" || sa.Name == "objectGUID" || !readable(q.p, sa) {
			return nil, false, nil
		}
		list, err = q.byPrefix(indexPrefix(sa.Name, nil))
		return list, true, err
	}
	return nil, false, nil
}

// bestOf picks the child of an AND with the fewest candidates; large categories
// are looked at last.
func (q *query) bestOf(children []*ldap.Filter) (best []dnt, found bool, err error) {
	for _, broad := range []bool{false, true} {
		for _, c := range children {
			if isBroad(c) != broad || found && broad {
				continue
			}
			l, ok, err := q.byIndex(c)
			if err != nil {
				return nil, false, err
			}
			if ok && (!found || len(l) < len(best)) {
				best, found = l, true
			}
		}
	}
	return best, found, nil
}

func isBroad(f *ldap.Filter) bool {
	return f.Kind == ldap.FilterPresent || strings.EqualFold(f.Attr, "objectCategory")
}

func (q *query) byValue(f *ldap.Filter) ([]dnt, bool, error) {
	sa := q.schema.Attribute(f.Attr)
	switch {
	case sa == nil || !readable(q.p, sa):
		return nil, false, nil
	case sa.Name == "distinguishedName":
		n, ok := q.target(sa, string(f.Value))
		return slices.Repeat([]dnt{n}, btoi(ok)), true, nil
	case sa.Link != 0:
		n, ok := q.target(sa, string(f.Value))
		if !ok {
			return nil, true, nil
		}
		space, link := sideOf(sa)
		other := spaceLink + spaceBack - int(space)
		l, err := scanLinks(q.ctx, q.r, byte(other), link, n)
		return l, true, err
	case sa.Syntax == schema.SyntaxDN && indexed(sa):
		n, ok := q.target(sa, string(f.Value))
		if !ok {
			return nil, true, nil
		}
		l, err := indexLookup(q.ctx, q.r, sa.Name, n.bytes())
		return l, true, err
	case sa.Name == "objectGUID":
		raw := sa.Normalize(f.Value)
		if len(raw) != 16 {
			return nil, true, nil
		}
		b, err := q.r.Get(q.ctx, guidKey(model.GUID(raw)))
		if errors.Is(err, kv.ErrNotFound) {
			return nil, true, nil
		}
		return []dnt{toDNT(b)}, true, wrap("directory.search", "", err)
	case indexed(sa):
		l, err := indexLookup(q.ctx, q.r, sa.Name, sa.Normalize(f.Value))
		return l, true, err
	}
	return nil, false, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (q *query) byPrefix(p []byte) (list []dnt, err error) {
	upper := append([]byte(nil), p...)
	upper[len(upper)-1]++
	it := q.r.Scan(q.ctx, kv.Range{Lower: p, Upper: upper})
	for it.Next() {
		if k := it.Key(); len(k) > len(p)+8 {
			list = append(list, dnt(binary.BigEndian.Uint64(k[len(k)-8:])))
		}
	}
	return list, wrap("directory.search", "", it.Close())
}
