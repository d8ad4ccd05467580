// Package schema is what the directory knows of attributes and classes: the
// Active Directory ones that mail needs (base-*.tsv) and the Exchange extension
// (exchange-*.tsv), as tables with name, OID, syntax, flags and link ids, and
// the rules that follow from a syntax: how values are checked and compared.
//
// A Schema is immutable. The extension is part of it once ForestPrep has put
// its objects into the schema naming context.
package schema

import (
	_ "embed"
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
	Name      string // lDAPDisplayName
	OID       string
	SyntaxOID string
	OM        int
	Syntax    Syntax
	Single    bool
	GC        bool // in the partial attribute set
	Link      int  // 0: none; even: forward link; odd: back link of Link-1
	Flags     int  // searchFlags
	Upper     int  // rangeUpper, 0: none
	MAPIID    int
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
	Name      string
	OID       string
	Super     string
	Category  Category
	Aux       []string
	Must      []string
	Superiors []string
}

// Schema is a set of attributes and classes that refer to each other.
type Schema struct {
	attrs     map[string]*Attribute // by lower-case name and by OID
	classes   map[string]*Class     // by lower-case name and by OID
	links     map[int]*Attribute
	attrList  []*Attribute
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

// ExchangeVersion is the rangeUpper of the version marker that ForestPrep
// leaves: that of Exchange Server 2003.
const ExchangeVersion = 6870

// Base returns the schema of a directory without Exchange.
func Base() (*Schema, error) { return parse(baseAttributes, baseClasses) }

// Extended returns the schema after ForestPrep.
func Extended() (*Schema, error) {
	return parse(baseAttributes, baseClasses, exchangeAttributes, exchangeClasses)
}

// parse reads pairs of an attribute and a class table.
func parse(tables ...string) (*Schema, error) {
	s := &Schema{attrs: map[string]*Attribute{}, classes: map[string]*Class{}, links: map[int]*Attribute{}}
	for i, t := range tables {
		for n, line := range strings.Split(strings.TrimRight(t, "\n"), "\n") {
			if n == 0 {
				continue
			}
			f := strings.Split(line, "\t")
			var err error
			if i%2 == 0 {
				err = s.addAttribute(f)
			} else {
				err = s.addClass(f)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *Schema) addAttribute(f []string) error {
	if len(f) != 10 {
		return model.E("schema.parse", model.KindCorrupt, strings.Join(f, " "), nil)
	}
	num := func(t string) int { n, _ := strconv.Atoi(t); return n }
	a := &Attribute{Name: f[0], OID: f[1], SyntaxOID: f[2], OM: num(f[3]), Single: f[4] == "TRUE", GC: f[5] == "TRUE",
		Link: num(f[6]), Flags: num(f[7]), MAPIID: num(f[8]), Upper: num(f[9])}
	a.Syntax = syntaxOf(a)
	s.attrs[strings.ToLower(a.Name)], s.attrs[a.OID] = a, a
	if a.Link != 0 {
		s.links[a.Link] = a
	}
	s.attrList = append(s.attrList, a)
	return nil
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
	if len(f) != 7 {
		return model.E("schema.parse", model.KindCorrupt, strings.Join(f, " "), nil)
	}
	cat, _ := strconv.Atoi(f[3])
	c := &Class{Name: f[0], OID: f[1], Super: f[2], Category: Category(cat), Aux: list(f[4]), Must: list(f[5]), Superiors: list(f[6])}
	s.classes[strings.ToLower(c.Name)], s.classes[c.OID] = c, c
	s.classList = append(s.classList, c)
	return nil
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

// Classes lists all classes in the order of the tables.
func (s *Schema) Classes() []*Class { return s.classList }

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

// CommonName returns the RDN of a schema object: the words of the display name
// joined by hyphens ("msExchHomeServerName" is "ms-Exch-Home-Server-Name").
func CommonName(display string) string {
	var b strings.Builder
	for i := 0; i < len(display); i++ {
		c := display[i]
		upper := c >= 'A' && c <= 'Z'
		if i > 0 && upper {
			prev := display[i-1]
			next := i+1 < len(display) && display[i+1] >= 'a' && display[i+1] <= 'z'
			if prev < 'A' || prev > 'Z' || next {
				b.WriteByte('-')
			}
		}
		if i == 0 && c >= 'a' && c <= 'z' && !strings.HasPrefix(display, "ms") {
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Part returns a schema of these attributes and classes alone, for writing a
// large one in steps. Their references may lead outside.
func Part(attrs []*Attribute, classes []*Class) *Schema {
	return &Schema{attrList: attrs, classList: classes}
}
