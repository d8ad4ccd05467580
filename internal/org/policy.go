package org

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// policy is an msExchRecipientPolicy.
type policy struct {
	guid      model.GUID
	order     int64
	filter    *ldap.Filter
	templates []template
	shared    map[string]bool // domains whose addresses may exist elsewhere too
}

// addressList is an addressBookContainer with a search of its own.
type addressList struct {
	dn     string
	filter *ldap.Filter
}

// emailPolicy is the option of a recipient policy that says addresses follow
// from it; Setup gives it to the default policy.
const emailPolicy = "{26491CFC-9E50-4857-861B-0CB8DF22B5D7}"

// policies returns the recipient policies, the first to be tried first.
func (r *reader) policies() (out []policy) {
	for _, e := range r.byClass["msexchrecipientpolicy"] {
		f, err := ldap.ParseFilter(e.Text("purportedSearch"))
		if err != nil {
			r.odd(e.DN, "purportedSearch: "+e.Text("purportedSearch"))
			continue
		}
		p := policy{guid: e.GUID(), filter: f, shared: map[string]bool{}}
		p.order, _ = e.Int("msExchPolicyOrder")
		off := map[string]bool{}
		for _, v := range e.Texts("disabledGatewayProxy") {
			off[strings.ToLower(v)] = true
		}
		for _, v := range e.Texts("gatewayProxy") {
			t, ok := parseTemplate(v)
			switch {
			case !ok:
				r.odd(e.DN, "gatewayProxy: "+v)
			case !off[strings.ToLower(v)]:
				p.templates = append(p.templates, t)
			}
		}
		for _, v := range e.Texts("msExchNonAuthoritativeDomains") {
			p.shared[strings.ToLower(v[strings.LastIndexAny(v, "@:")+1:])] = true
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b policy) int { return cmp.Compare(a.order, b.order) })
	return out
}

// domainsOf returns the SMTP domains of policies, that of the last policy's
// primary address first: the default policy is the last.
func domainsOf(policies []policy) (out []Domain) {
	shared := map[string]bool{}
	for _, p := range policies {
		for d := range p.shared {
			shared[d] = true
		}
	}
	add := func(name string) {
		if !slices.ContainsFunc(out, func(d Domain) bool { return d.Name == name }) {
			out = append(out, Domain{Name: name, Authoritative: !shared[name]})
		}
	}
	for _, primary := range []bool{true, false} {
		for _, p := range slices.Backward(policies) {
			for _, t := range p.templates {
				if t.typ == "SMTP" && t.primary == primary {
					add(t.domain())
				}
			}
		}
	}
	return out
}

func (r *reader) addressLists() (out []addressList) {
	for _, e := range r.byClass["addressbookcontainer"] {
		text := e.Text("purportedSearch")
		if text == "" {
			continue
		}
		f, err := ldap.ParseFilter(text)
		if err != nil {
			r.odd(e.DN, "purportedSearch: "+text)
			continue
		}
		out = append(out, addressList{e.DN, f})
	}
	slices.SortFunc(out, func(a, b addressList) int { return cmp.Compare(strings.ToLower(a.dn), strings.ToLower(b.dn)) })
	return out
}

// matches asks the directory whether an object satisfies a filter.
func (o *Org) matches(ctx context.Context, g model.GUID, f *ldap.Filter) (bool, error) {
	found, err := directory.Find(ctx, o.dir, directory.AsSystem,
		&directory.Search{Base: directory.GUIDName(g), Scope: directory.Base, Filter: f, Attributes: []string{"1.1"}})
	return len(found) == 1, err
}

// policyOf returns the policy that addresses an object, nil if none does.
func (o *Org) policyOf(ctx context.Context, s *snapshot, g model.GUID) (*policy, error) {
	for i := range s.policies {
		ok, err := o.matches(ctx, g, s.policies[i].filter)
		if err != nil {
			return nil, err
		}
		if ok {
			return &s.policies[i], nil
		}
	}
	return nil, nil
}

// listsOf returns the DNs of the address lists an object belongs in.
func (o *Org) listsOf(ctx context.Context, s *snapshot, g model.GUID) (out []string, err error) {
	for _, l := range s.lists {
		ok, err := o.matches(ctx, g, l.filter)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, l.dn)
		}
	}
	return out, nil
}

// taken reports whether an attribute has the value on an object other than g.
func (o *Org) taken(ctx context.Context, g model.GUID, attr, value string) (bool, error) {
	found, err := directory.Find(ctx, o.dir, directory.AsSystem, &directory.Search{Scope: directory.Subtree, Global: true,
		Filter: ldap.Equal(attr, value), Attributes: []string{"objectGUID"}, Limit: 2})
	return slices.ContainsFunc(found, func(e *directory.Entry) bool { return e.GUID() != g }), err
}
