// Package directory is the contract of the tree the organization lives in: an
// Active-Directory-shaped forest with schema, configuration and domain naming
// contexts, linked attributes, update sequence numbers and a change feed.
// directory/embedded keeps it on kv; directory/remote will reach an existing
// one over LDAP.
//
// Rights are checked here, once, for everyone: every operation takes the
// Principal on whose behalf it is done.
//
// Errors are model.Error: KindNotFound for a name that does not exist,
// KindExists, KindPermission, KindInvalid for what the schema forbids,
// KindConflict for an entry that has children, KindTooLarge for a limit of the
// search, KindUnsupported.
package directory

import (
	"context"
	"strings"

	"rialto/internal/directory/schema"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Principal is on whose behalf something is done.
type Principal struct {
	GUID  model.GUID // of the user; zero for anonymous and the system
	Level Level
}

// Level is what a principal may do at all.
type Level uint8

// The levels. Anonymous reads the root DSE and nothing else; a User reads what
// an address book needs; an Administrator reads and writes; the System, which
// is the server itself, also reads credentials.
const (
	Anonymous Level = iota
	User
	Administrator
	System
)

// AsSystem is the server itself.
var AsSystem = Principal{Level: System}

// Attribute is a description and its values. Values of DN syntax are DNs as
// text.
type Attribute struct {
	Name   string
	Values [][]byte
}

// Entry is an object as read. Attributes have the schema's spelling.
type Entry struct {
	DN         string
	Attributes []Attribute
}

// Values returns the values of an attribute, nil if it is absent.
func (e *Entry) Values(name string) [][]byte {
	for i := range e.Attributes {
		if strings.EqualFold(e.Attributes[i].Name, name) {
			return e.Attributes[i].Values
		}
	}
	return nil
}

// Text returns the first value of an attribute as text, "" if it is absent.
func (e *Entry) Text(name string) string {
	if v := e.Values(name); len(v) > 0 {
		return string(v[0])
	}
	return ""
}

// Texts returns all values of an attribute as text.
func (e *Entry) Texts(name string) []string {
	var out []string
	for _, v := range e.Values(name) {
		out = append(out, string(v))
	}
	return out
}

// Int returns the first value of an attribute as a number; ok is false if it is
// absent.
func (e *Entry) Int(name string) (n int64, ok bool) {
	if v := e.Values(name); len(v) > 0 {
		return schema.Integer(v[0])
	}
	return 0, false
}

// Bool reports whether an attribute is TRUE.
func (e *Entry) Bool(name string) bool { return e.Text(name) == "TRUE" }

// GUID returns the entry's objectGUID.
func (e *Entry) GUID() (g model.GUID) {
	if v := e.Values("objectGUID"); len(v) == 1 && len(v[0]) == 16 {
		copy(g[:], v[0])
	}
	return g
}

// Is reports whether the entry is of a class.
func (e *Entry) Is(class string) bool {
	for _, v := range e.Values("objectClass") {
		if strings.EqualFold(string(v), class) {
			return true
		}
	}
	return false
}

// Attr makes an Attribute of text values.
func Attr(name string, values ...string) Attribute {
	a := Attribute{Name: name}
	for _, v := range values {
		a.Values = append(a.Values, []byte(v))
	}
	return a
}

// Octets makes an Attribute of binary values.
func Octets(name string, values ...[]byte) Attribute { return Attribute{name, values} }

// Scope is how far below the base a search goes.
type Scope uint8

// The scopes, with the values of RFC 4511 4.5.1.2.
const (
	Base Scope = iota
	One
	Subtree
)

// Search is what is looked for.
type Search struct {
	Base   string // a DN, or "<GUID=…>"; "" with GC for the whole forest
	Scope  Scope
	Filter *ldap.Filter // nil: everything
	// Attributes to return: names, "*" for all but back links and operational
	// ones, "1.1" for none; empty: "*".
	Attributes []string
	Limit      int    // most entries to return, 0: no limit
	After      string // token of the page before, "" for the first
	// Global looks below the base across naming contexts, as a global catalog
	// does.
	Global bool
	// Deleted shows tombstones too.
	Deleted bool
}

// ModOp is what a Modification does.
type ModOp uint8

// The operations, with the values of RFC 4511 4.6 and RFC 4525.
const (
	AddValues ModOp = iota
	DeleteValues
	Replace
	Increment
)

// Modification changes one attribute.
type Modification struct {
	Op   ModOp
	Attr Attribute
}

// Cookie is a position in the change feed of one invocation of the writer.
type Cookie struct {
	Invocation model.GUID
	USN        int64
}

// Directory is a tree.
type Directory interface {
	// Root describes the tree.
	Root() Root
	// Schema returns the present schema.
	Schema() *schema.Schema
	// Search calls fn for each entry found, until it returns an error, which
	// Search then returns. next is the token of the next page, "" at the end;
	// reaching Limit is no error.
	Search(ctx context.Context, p Principal, s *Search, fn func(*Entry) error) (next string, err error)
	// Add makes an entry. objectClass names its most specific class at least.
	Add(ctx context.Context, p Principal, dn string, attrs []Attribute) error
	// Modify changes an entry, all or nothing.
	Modify(ctx context.Context, p Principal, dn string, mods []Modification) error
	// Delete turns an entry without children into a tombstone.
	Delete(ctx context.Context, p Principal, dn string) error
	// Rename gives an entry another RDN, and another parent unless that is "".
	Rename(ctx context.Context, p Principal, dn, rdn, parent string) error
	// Changes calls fn for entries changed after c in order of USN, tombstones
	// included, and returns the position reached. complete is false if c is of
	// another invocation: then everything has to be read again.
	Changes(ctx context.Context, p Principal, c Cookie, fn func(*Entry) error) (next Cookie, complete bool, err error)
	// Watch returns a channel that has a value when something changed since it
	// was last read.
	Watch(ctx context.Context) <-chan struct{}
}

// Root is what the root DSE tells of a tree.
type Root struct {
	Domain        string // DN of the domain naming context
	Configuration string
	Schema        string
	DNSDomain     string // contoso.test
	NetBIOS       string // CONTOSO
	DNSHost       string // of the server
	ServerName    string // DN of the server's object
	DomainSID     []byte
	Invocation    model.GUID
	HighestUSN    int64
}

// GUIDName returns a base that names an object by its GUID.
func GUIDName(g model.GUID) string { return "<GUID=" + g.String() + ">" }

// Get reads one entry. KindNotFound if it does not exist.
func Get(ctx context.Context, d Directory, p Principal, dn string, attrs ...string) (*Entry, error) {
	var found *Entry
	_, err := d.Search(ctx, p, &Search{Base: dn, Scope: Base, Attributes: attrs}, func(e *Entry) error {
		found = e
		return nil
	})
	if err == nil && found == nil {
		err = model.E("directory.get", model.KindNotFound, dn, nil)
	}
	return found, err
}

// Find returns the entries that match a filter.
func Find(ctx context.Context, d Directory, p Principal, s *Search) ([]*Entry, error) {
	var out []*Entry
	_, err := d.Search(ctx, p, s, func(e *Entry) error {
		out = append(out, e)
		return nil
	})
	return out, err
}
