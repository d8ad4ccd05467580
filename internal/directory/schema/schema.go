// Package schema is what the directory knows of attributes and classes: those of
// Active Directory (base-*.tsv, after MS-ADA1 to 3 and MS-ADSC), the Exchange
// extension (exchange-attributes.tsv, exchange-classes.tsv) and what that changes
// on objects that were there (exchange-changes.tsv), as tables, and the rules that
// follow from a syntax: how values are checked and compared.
//
// A Schema is immutable. The extension is part of it once ForestPrep has put
// its objects into the schema naming context.
package schema

import (
	_ "embed"
	"errors"
	"strconv"
	"strings"

	"rialto/internal/model"
)

// Syntax is what the values of an attribute are (MS-ADTS 3.1.1.2.2.2).
type Syntax uint8

// The syntaxes.
const (
	SyntaxText     Syntax = iota // Unicode, teletex, printable and IA5 strings, compared without case
	SyntaxDN                     // 2.5.5.1, and 2.5.5.7 without its blob
	SyntaxOID                    // 2.5.5.2: names or OIDs of classes and attributes
	SyntaxBool                   // 2.5.5.8
	SyntaxInt                    // 2.5.5.9 and 2.5.5.16
	SyntaxOctets                 // 2.5.5.10
	SyntaxTime                   // 2.5.5.11: generalized time
	SyntaxSecurity               // 2.5.5.15
	SyntaxSID                    // 2.5.5.17
	SyntaxDNText                 // DN with text or binary kept as text: wellKnownObjects and its kin
)

// Attribute is an attributeSchema.
type Attribute struct {
	CN        string // the RDN of its object
	Name      string // lDAPDisplayName
	OID       string
	SyntaxOID string
	OM        int
	Syntax    Syntax
	Single    bool
	GC        bool // in the partial attribute set
	Link      int  // 0: none; even: forward link; odd: back link of Link-1
	Flags     int  // searchFlags
	Lower     int  // rangeLower, 0: none
	Upper     int  // rangeUpper, 0: none
	MAPIID    int
	System    bool       // systemOnly: nobody writes it over LDAP
	GUID      model.GUID // schemaIDGUID: names the attribute in access entries
	Set       model.GUID // attributeSecurityGUID: its property set; zero: none

	n int // its place in the list
}

// Linked reports whether the attribute is a forward link.
func (a *Attribute) Linked() bool { return a.Link > 0 && a.Link%2 == 0 }

// BackLink reports whether the attribute is computed from a forward link.
func (a *Attribute) BackLink() bool { return a.Link%2 == 1 }

// Indexed reports whether look-ups by value have an index.
func (a *Attribute) Indexed() bool { return a.Flags&1 != 0 }

// Category is that of a class: structural, abstract or auxiliary.
type Category int

// The categories (objectClassCategory). 0, the 1988 kind, counts as structural.
const (
	Class88    Category = 0
	Structural Category = 1
	Abstract   Category = 2
	Auxiliary  Category = 3
)

// Class is a classSchema.
type Class struct {
	CN         string // the RDN of its object
	Name       string
	OID        string
	Super      string
	Category   Category
	Aux        []string
	Must       []string
	May        []string
	Superiors  []string
	RDN        string     // rDNAttID: the attribute that names its objects
	GUID       model.GUID // schemaIDGUID: names the class in access entries
	Object     string     // CN of its defaultObjectCategory
	Descriptor string     // defaultSecurityDescriptor, in SDDL

	allowed []uint64 // the attributes by place, those of what it inherits from included
}

// Schema is a set of attributes and classes that refer to each other.
type Schema struct {
	attrs     map[string]*Attribute // by lower-case name and by OID
	classes   map[string]*Class     // by lower-case name and by OID
	links     map[int]*Attribute
	attrList  []*Attribute
	linkList  []*Attribute
	classList []*Class
}

//go:embed base-attributes.tsv
var baseAttributes string

//go:embed base-classes.tsv
var baseClasses string

//go:embed exchange-attributes.tsv
var exchangeAttributes string

//go:embed exchange-classes.tsv
var exchangeClasses string

//go:embed exchange-changes.tsv
var exchangeChanges string

// ExchangeVersion is the rangeUpper of the version marker that ForestPrep
// leaves: that of Exchange Server 2003.
const ExchangeVersion = 6870

// Base returns the schema of a directory without Exchange.
func Base() (*Schema, error) {
	s, err := parse(baseAttributes, baseClasses)
	if err == nil {
		s.allow()
	}
	return s, err
}

// Extended returns the schema after ForestPrep.
func Extended() (*Schema, error) {
	s, err := parse(baseAttributes, baseClasses, exchangeAttributes, exchangeClasses)
	if err == nil {
		err = s.change(exchangeChanges)
	}
	if err == nil {
		s.allow()
	}
	return s, err
}

// parse reads pairs of an attribute and a class table.
func parse(tables ...string) (*Schema, error) {
	s := &Schema{attrs: map[string]*Attribute{}, classes: map[string]*Class{}, links: map[int]*Attribute{}}
	for i, t := range tables {
		add := s.addAttribute
		if i%2 != 0 {
			add = s.addClass
		}
		if err := eachLine(t, add); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// eachLine calls f with the fields of every line but the first.
func eachLine(table string, f func([]string) error) error {
	for n, line := range strings.Split(strings.TrimRight(table, "\n"), "\n") {
		if n == 0 {
			continue
		}
		if err := f(strings.Split(line, "\t")); err != nil {
			return model.E("schema.parse", model.KindCorrupt, line, err)
		}
	}
	return nil
}

var errColumns = errors.New("the number of columns is wrong")

func (s *Schema) addAttribute(f []string) error {
	if len(f) != 15 {
		return errColumns
	}
	a := &Attribute{CN: f[0], Name: f[1], OID: f[2], SyntaxOID: f[3], OM: number(f[4]), Single: f[5] == "TRUE", GC: f[6] == "TRUE",
		Link: number(f[7]), Flags: number(f[8]), MAPIID: number(f[9]), Lower: number(f[10]), Upper: number(f[11]), System: f[12] == "TRUE"}
	a.Syntax = syntaxOf(a)
	s.attrs[strings.ToLower(a.Name)], s.attrs[a.OID] = a, a
	if a.Link != 0 {
		s.links[a.Link] = a
		s.linkList = append(s.linkList, a)
	}
	s.attrList = append(s.attrList, a)
	return guids(f[13], &a.GUID, f[14], &a.Set)
}

// number reads a column; limits that no value reaches are none.
func number(t string) int {
	n, err := strconv.ParseInt(t, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// guids reads columns that may be empty.
func guids(a string, to *model.GUID, b string, also *model.GUID) (err error) {
	if a != "" {
		*to, err = model.ParseGUID(a)
	}
	if b != "" && err == nil {
		*also, err = model.ParseGUID(b)
	}
	return err
}

// change applies what an extension changes on attributes and classes of before:
// name, auxiliary classes, optional attributes, superiors, whether the attribute
// is in the global catalog, searchFlags, property set.
func (s *Schema) change(table string) error {
	return eachLine(table, func(f []string) error {
		if len(f) != 7 {
			return errColumns
		}
		if c := s.Class(f[0]); c != nil {
			c.Aux = append(c.Aux, list(f[1])...)
			c.May = append(c.May, list(f[2])...)
			c.Superiors = append(c.Superiors, list(f[3])...)
			return nil
		}
		a := s.Attribute(f[0])
		if a == nil {
			return errors.New("it changes what is not there")
		}
		a.GC = a.GC || f[4] == "TRUE"
		if f[5] != "" {
			a.Flags = number(f[5])
		}
		return guids("", nil, f[6], &a.Set)
	})
}

func syntaxOf(a *Attribute) Syntax {
	switch a.SyntaxOID {
	case "2.5.5.1":
		return SyntaxDN
	case "2.5.5.7":
		if a.Link != 0 {
			return SyntaxDN
		}
		return SyntaxDNText
	case "2.5.5.2":
		return SyntaxOID
	case "2.5.5.8":
		return SyntaxBool
	case "2.5.5.9", "2.5.5.16":
		return SyntaxInt
	case "2.5.5.10":
		return SyntaxOctets
	case "2.5.5.11":
		return SyntaxTime
	case "2.5.5.15":
		return SyntaxSecurity
	case "2.5.5.17":
		return SyntaxSID
	}
	return SyntaxText
}

func (s *Schema) addClass(f []string) error {
	if len(f) != 13 {
		return errColumns
	}
	c := &Class{CN: f[0], Name: f[1], OID: f[2], Super: f[3], Category: Category(number(f[4])), Aux: list(f[5]), Must: list(f[6]),
		May: list(f[7]), Superiors: list(f[8]), RDN: f[9], Object: f[11], Descriptor: f[12]}
	s.classes[strings.ToLower(c.Name)], s.classes[c.OID] = c, c
	s.classList = append(s.classList, c)
	return guids(f[10], &c.GUID, "", nil)
}

func list(t string) []string {
	if t == "" {
		return nil
	}
	return strings.Split(t, ",")
}

// Attribute finds an attribute by name, without case, or OID; nil if unknown.
func (s *Schema) Attribute(name string) *Attribute { return s.attrs[strings.ToLower(name)] }

// Class finds a class by name, without case, or OID; nil if unknown.
func (s *Schema) Class(name string) *Class { return s.classes[strings.ToLower(name)] }

// Link finds an attribute by its link id; nil if there is none.
func (s *Schema) Link(id int) *Attribute { return s.links[id] }

// Attributes lists all attributes in the order of the tables.
func (s *Schema) Attributes() []*Attribute { return s.attrList }

// Links lists the attributes that are links, in the order of the tables.
func (s *Schema) Links() []*Attribute { return s.linkList }

// Classes lists all classes in the order of the tables.
func (s *Schema) Classes() []*Class { return s.classList }

// ClassCN finds a class by the RDN of its object, without case; nil if unknown.
func (s *Schema) ClassCN(cn string) *Class {
	for _, c := range s.classList {
		if strings.EqualFold(c.CN, cn) {
			return c
		}
	}
	return nil
}

// allow finds what attributes each class allows.
func (s *Schema) allow() {
	for i, a := range s.attrList {
		a.n = i
	}
	for _, c := range s.classList {
		s.allowedBy(c, 0)
	}
}

func (s *Schema) allowedBy(c *Class, depth int) []uint64 {
	if c.allowed != nil || depth > 32 {
		return c.allowed
	}
	set := make([]uint64, (len(s.attrList)+63)/64)
	for _, names := range [][]string{c.Must, c.May, {c.RDN}} {
		for _, name := range names {
			if a := s.Attribute(name); a != nil {
				set[a.n/64] |= 1 << (a.n % 64)
			}
		}
	}
	for _, name := range append([]string{c.Super}, c.Aux...) {
		if up := s.Class(name); up != nil && up != c {
			for i, bits := range s.allowedBy(up, depth+1) {
				set[i] |= bits
			}
		}
	}
	c.allowed = set
	return set
}

// Allows reports whether objects of the classes may have the attribute (MS-ADTS
// 3.1.1.3.1.1.5).
func (s *Schema) Allows(classes []string, a *Attribute) bool {
	for _, name := range classes {
		if c := s.Class(name); c != nil && a.n/64 < len(c.allowed) && c.allowed[a.n/64]&(1<<(a.n%64)) != 0 {
			return true
		}
	}
	return false
}

// Has reports whether the Exchange extension is part of the schema.
func (s *Schema) HasExchange() bool { return s.Class("msExchOrganizationContainer") != nil }

// Line returns the classes of an object whose most specific class is name, top
// first, as objectClass shows them; nil if a class is unknown.
func (s *Schema) Line(name string) []string {
	var out []string
	for depth := 0; depth < 32; depth++ {
		c := s.Class(name)
		if c == nil {
			return nil
		}
		out = append([]string{c.Name}, out...)
		if strings.EqualFold(c.Super, c.Name) {
			return out
		}
		name = c.Super
	}
	return nil
}

// Must returns the attributes that an object of the classes must have,
// auxiliary classes included.
func (s *Schema) Must(classes []string) []string {
	seen := map[string]bool{}
	var out []string
	var visit func(name string, depth int)
	visit = func(name string, depth int) {
		c := s.Class(name)
		if c == nil || seen["class "+c.Name] || depth > 32 {
			return
		}
		seen["class "+c.Name] = true
		for _, m := range c.Must {
			if !seen[m] {
				seen[m] = true
				out = append(out, m)
			}
		}
		visit(c.Super, depth+1)
		for _, a := range c.Aux {
			visit(a, depth+1)
		}
	}
	for _, c := range classes {
		visit(c, 0)
	}
	return out
}

// Part returns a schema of these attributes and classes alone, for writing a
// large one in steps. Their references may lead outside.
func Part(attrs []*Attribute, classes []*Class) *Schema {
	return &Schema{attrList: attrs, classList: classes}
}
