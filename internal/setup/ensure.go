package setup

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// ensure makes an entry of a class, or gives an entry that exists the
// attributes it lacks. What an attribute says already stays.
func (r *run) ensure(ctx context.Context, dn, class string, attrs ...directory.Attribute) error {
	have, err := r.read(ctx, dn, attrs)
	if model.IsKind(err, model.KindNotFound) {
		return r.dir.Add(ctx, r.p, dn, append([]directory.Attribute{directory.Attr("objectClass", class)}, attrs...))
	}
	if err != nil {
		return err
	}
	if !have.Is(class) {
		return model.E("setup.ensure", model.KindConflict, dn+" is not of class "+class, nil)
	}
	var mods []directory.Modification
	for _, a := range attrs {
		if have.Values(a.Name) == nil {
			mods = append(mods, directory.Modification{Op: directory.AddValues, Attr: a})
		}
	}
	if len(mods) == 0 {
		return nil
	}
	return r.dir.Modify(ctx, r.p, dn, mods)
}

func (r *run) read(ctx context.Context, dn string, attrs []directory.Attribute) (*directory.Entry, error) {
	names := []string{"objectClass", "objectGUID"}
	for _, a := range attrs {
		names = append(names, a.Name)
	}
	return directory.Get(ctx, r.dir, directory.AsSystem, dn, names...)
}

// include puts a value into a multi-valued attribute if it is not there.
func (r *run) include(ctx context.Context, dn, attr, value string) error {
	e, err := directory.Get(ctx, r.dir, directory.AsSystem, dn, attr)
	if err != nil || slices.ContainsFunc(e.Texts(attr), func(v string) bool { return sameDN(v, value) }) {
		return err
	}
	return r.dir.Modify(ctx, r.p, dn, []directory.Modification{{Op: directory.AddValues, Attr: directory.Attr(attr, value)}})
}

// set replaces an attribute unless it says so already.
func (r *run) set(ctx context.Context, dn, attr, value string) error {
	e, err := directory.Get(ctx, r.dir, directory.AsSystem, dn, attr)
	if err != nil || e.Text(attr) == value {
		return err
	}
	return r.dir.Modify(ctx, r.p, dn, []directory.Modification{{Op: directory.Replace, Attr: directory.Attr(attr, value)}})
}

func (r *run) exists(ctx context.Context, dn string) (bool, error) {
	_, err := directory.Get(ctx, r.dir, directory.AsSystem, dn, "objectGUID")
	if model.IsKind(err, model.KindNotFound) {
		return false, nil
	}
	return err == nil, err
}

// object is an entry of a list that ensureAll works through.
type object struct {
	dn, class string
	attrs     []directory.Attribute
}

func (r *run) ensureAll(ctx context.Context, list ...object) error {
	for _, o := range list {
		if err := r.ensure(ctx, o.dn, o.class, o.attrs...); err != nil {
			return err
		}
	}
	return nil
}

// child returns the DN of an entry below another.
func child(name, parent string) string { return "CN=" + ldap.EscapeDN(name) + "," + parent }

func text(name string, values ...string) directory.Attribute { return directory.Attr(name, values...) }

func number(name string, n int) directory.Attribute { return directory.Attr(name, strconv.Itoa(n)) }

func yes(name string) directory.Attribute { return directory.Attr(name, "TRUE") }

func no(name string) directory.Attribute { return directory.Attr(name, "FALSE") }

func sameDN(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	x, err := ldap.ParseDN(a)
	if err != nil {
		return false
	}
	y, err := ldap.ParseDN(b)
	return err == nil && x.Equal(y)
}
