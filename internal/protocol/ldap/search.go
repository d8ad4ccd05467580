package ldap

import (
	"context"
	"strings"
	"time"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// gather is how many entries are read on one state of the directory: a slow
// client does not hold a snapshot.
const gather = 200

// search answers RFC 4511 4.5.
func (n *session) search(m *ldap.Message, op *ldap.SearchRequest) bool {
	if op.Base == "" && op.Scope == ldap.ScopeBase {
		return n.rootDSE(m, op)
	}
	if n.who.Level == directory.Anonymous {
		return n.reply(m, ldap.Result{Code: ldap.OperationsError, Message: "a successful bind must come first"})
	}
	if strings.HasPrefix(strings.ToLower(op.Base), "cn=aggregate,cn=schema,") {
		return n.subschema(m, op)
	}
	if op.Scope > ldap.ScopeSubtree {
		return n.reply(m, ldap.Result{Code: ldap.ProtocolError, Message: "scope"})
	}
	page, paged, err := pageOf(m)
	if err != nil {
		return n.reply(m, ldap.Result{Code: ldap.ProtocolError, Message: "paged results control"})
	}
	s := &directory.Search{Base: op.Base, Scope: directory.Scope(op.Scope), Filter: op.Filter, Attributes: op.Attributes,
		After: string(page.Cookie), Global: n.s.Global || op.Base == "", Deleted: m.Control(ldap.OIDShowDeleted) != nil}
	limit, exceeded := maxPageSize, ldap.SizeLimitExceeded
	if paged && int(page.Size) < limit {
		limit = int(page.Size)
	}
	if l := int(op.SizeLimit); l > 0 && l <= limit {
		limit, paged = l, false
	}
	if limit == 0 { // a page of nothing: the client gives up
		return n.send(m.ID, &ldap.SearchDone{}, ldap.PagedResults{}.Control(false))
	}
	next, err := n.pages(m, op, s, limit)
	if err != nil {
		return n.done(m, err)
	}
	switch {
	case paged:
		return n.send(m.ID, &ldap.SearchDone{}, ldap.PagedResults{Cookie: []byte(next)}.Control(false))
	case next != "":
		return n.send(m.ID, &ldap.SearchDone{Result: ldap.Result{Code: exceeded}})
	}
	return n.send(m.ID, &ldap.SearchDone{})
}

func pageOf(m *ldap.Message) (p ldap.PagedResults, ok bool, err error) {
	c := m.Control(ldap.OIDPagedResults)
	if c == nil {
		return p, false, nil
	}
	p, err = ldap.ParsePagedResults(c.Value)
	return p, true, err
}

// pages sends up to limit entries and returns the token of what is left.
func (n *session) pages(m *ldap.Message, op *ldap.SearchRequest, s *directory.Search, limit int) (string, error) {
	d := maxQueryTime
	if op.TimeLimit > 0 {
		d = min(d, time.Duration(op.TimeLimit)*time.Second)
	}
	ctx, cancel := context.WithTimeout(n.ctx, d)
	defer cancel()
	for {
		s.Limit = min(gather, limit)
		var entries []*directory.Entry
		next, err := n.s.Directory.Search(ctx, n.who, s, func(e *directory.Entry) error {
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if !n.send(m.ID, n.entry(e, op.TypesOnly)) {
				return "", model.E("ldap.search", model.KindCanceled, "", nil)
			}
		}
		if limit -= len(entries); next == "" || limit <= 0 {
			return next, nil
		}
		s.After = next
	}
}

// entry turns an entry of the directory into one of the protocol.
func (n *session) entry(e *directory.Entry, typesOnly bool) *ldap.SearchEntry {
	out := &ldap.SearchEntry{DN: e.DN, Attributes: make([]ldap.Attribute, 0, len(e.Attributes))}
	for _, a := range e.Attributes {
		if n.s.Global && !n.inCatalog(a.Name) {
			continue
		}
		v := ldap.Attribute{Name: a.Name}
		if !typesOnly {
			v.Values = a.Values
		}
		out.Attributes = append(out.Attributes, v)
	}
	return out
}

// inCatalog reports whether an attribute is in the partial attribute set.
func (n *session) inCatalog(name string) bool {
	sa := n.s.Directory.Schema().Attribute(name)
	return sa != nil && sa.GC
}

// compare answers RFC 4511 4.10.
func (n *session) compare(m *ldap.Message, op *ldap.CompareRequest) bool {
	if n.who.Level == directory.Anonymous {
		return n.reply(m, ldap.Result{Code: ldap.OperationsError, Message: "a successful bind must come first"})
	}
	if n.s.Directory.Schema().Attribute(op.Attribute) == nil {
		return n.reply(m, ldap.Result{Code: ldap.UndefinedAttributeType, Message: op.Attribute})
	}
	e, err := directory.Get(n.ctx, n.s.Directory, n.who, op.DN, op.Attribute)
	if err != nil {
		return n.done(m, err)
	}
	if len(e.Attributes) == 0 {
		return n.reply(m, ldap.Result{Code: ldap.NoSuchAttribute, Message: op.Attribute})
	}
	found := false
	f := &ldap.Filter{Kind: ldap.FilterEqual, Attr: op.Attribute, Value: op.Value}
	_, err = n.s.Directory.Search(n.ctx, n.who, &directory.Search{Base: op.DN, Filter: f, Attributes: []string{"1.1"}},
		func(*directory.Entry) error { found = true; return nil })
	if err != nil {
		return n.done(m, err)
	}
	if found {
		return n.reply(m, ldap.Result{Code: ldap.CompareTrue})
	}
	return n.reply(m, ldap.Result{Code: ldap.CompareFalse})
}
