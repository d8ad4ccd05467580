package security

import (
	"fmt"
	"strconv"
	"strings"

	"rialto/internal/model"
)

// Names resolves the two-letter names of the text form that stand for accounts
// of a domain.
type Names struct {
	Domain SID // of the object
	Root   SID // of the forest's first domain; "": the same
}

// alias is a two-letter name (MS-DTYP 2.5.1.1).
type alias struct {
	name string
	sid  SID
	in   byte // 0: sid is whole; 'd', 'r': the relative id of the domain or the root
	rid  uint32
}

func aliases() []alias {
	return []alias{
		{"WD", Everyone, 0, 0}, {"CO", CreatorOwner, 0, 0}, {"CG", CreatorGroup, 0, 0}, {"OW", OwnerRights, 0, 0},
		{"NU", Network, 0, 0}, {"IU", wellKnown(5, 4), 0, 0}, {"SU", wellKnown(5, 6), 0, 0}, {"AN", Anonymous, 0, 0},
		{"ED", EnterpriseDCs, 0, 0}, {"PS", Self, 0, 0}, {"AU", AuthenticatedUsers, 0, 0}, {"RC", wellKnown(5, 12), 0, 0},
		{"SY", LocalSystem, 0, 0}, {"LS", wellKnown(5, 19), 0, 0}, {"NS", wellKnown(5, 20), 0, 0},
		{"BA", Administrators, 0, 0}, {"BU", Users, 0, 0}, {"BG", wellKnown(5, 32, 546), 0, 0}, {"PU", wellKnown(5, 32, 547), 0, 0},
		{"AO", AccountOperators, 0, 0}, {"SO", ServerOperators, 0, 0}, {"PO", PrintOperators, 0, 0}, {"BO", wellKnown(5, 32, 551), 0, 0},
		{"RE", wellKnown(5, 32, 552), 0, 0}, {"RU", PreWindows2000, 0, 0}, {"RD", wellKnown(5, 32, 555), 0, 0},
		{"NO", wellKnown(5, 32, 556), 0, 0}, {"MU", wellKnown(5, 32, 558), 0, 0}, {"LU", wellKnown(5, 32, 559), 0, 0},
		{"LA", "", 'd', 500}, {"LG", "", 'd', 501}, {"DA", "", 'd', 512}, {"DU", "", 'd', 513}, {"DG", "", 'd', 514},
		{"DC", "", 'd', 515}, {"DD", "", 'd', 516}, {"CA", "", 'd', 517}, {"PA", "", 'd', 520}, {"RS", "", 'd', 553},
		{"SA", "", 'r', 518}, {"EA", "", 'r', 519}, {"RO", "", 'r', 498},
	}
}

func (n Names) sid(a alias) SID {
	switch {
	case a.in == 0:
		return a.sid
	case a.in == 'r' && n.Root != "":
		return n.Root.With(a.rid)
	}
	return n.Domain.With(a.rid)
}

func (n Names) parseSID(s string) (SID, error) {
	if strings.HasPrefix(s, "S-") {
		return ParseSID(s)
	}
	for _, a := range aliases() {
		if strings.EqualFold(a.name, s) {
			if sid := n.sid(a); sid != "" {
				return sid, nil
			}
		}
	}
	return "", fmt.Errorf("security: %.20q names nobody", s)
}

func (n Names) formatSID(s SID) string {
	for _, a := range aliases() {
		if n.sid(a) == s {
			return a.name
		}
	}
	return s.String()
}

// code is a two-letter name of bits.
type code struct {
	name string
	bits uint32
}

func rightCodes() []code {
	return []code{
		{"CC", uint32(CreateChild)}, {"DC", uint32(DeleteChild)}, {"LC", uint32(ListContents)}, {"SW", uint32(ValidatedWrite)},
		{"RP", uint32(ReadProperty)}, {"WP", uint32(WriteProperty)}, {"DT", uint32(DeleteTree)}, {"LO", uint32(ListObject)},
		{"CR", uint32(ControlAccess)}, {"SD", uint32(Delete)}, {"RC", uint32(ReadControl)}, {"WD", uint32(WriteDAC)},
		{"WO", uint32(WriteOwner)}, {"GA", uint32(GenericAll)}, {"GX", uint32(GenericExecute)}, {"GW", uint32(GenericWrite)},
		{"GR", uint32(GenericRead)},
	}
}

func flagCodes() []code {
	return []code{
		{"OI", uint32(ObjectInherit)}, {"CI", uint32(ContainerInherit)}, {"NP", uint32(NoPropagate)}, {"IO", uint32(InheritOnly)},
		{"ID", uint32(Inherited)}, {"SA", uint32(AuditSuccess)}, {"FA", uint32(AuditFailure)},
	}
}

func typeCodes() []code {
	return []code{
		{"A", uint32(Allow)}, {"D", uint32(Deny)}, {"AU", uint32(Audit)},
		{"OA", uint32(AllowObject)}, {"OD", uint32(DenyObject)}, {"OU", uint32(AuditObject)},
	}
}

// bitsOf reads names of two letters each.
func bitsOf(s string, codes []code) (bits uint32, err error) {
next:
	for ; len(s) >= 2; s = s[2:] {
		for _, c := range codes {
			if strings.EqualFold(c.name, s[:2]) {
				bits |= c.bits
				continue next
			}
		}
		break
	}
	if s != "" {
		err = fmt.Errorf("security: %.20q is not known", s)
	}
	return bits, err
}

func namesOf(bits uint32, codes []code) (s string, left uint32) {
	for _, c := range codes {
		if bits&c.bits != 0 {
			s += c.name
			bits &^= c.bits
		}
	}
	return s, bits
}

// ParseSDDL reads the text form.
func ParseSDDL(s string, n Names) (*Descriptor, error) {
	d := &Descriptor{}
	if len(s) > 1<<17 {
		return nil, fmt.Errorf("security: a descriptor of %d characters", len(s))
	}
	for s != "" {
		if len(s) < 2 || s[1] != ':' {
			return nil, fmt.Errorf("security: %.20q is not the beginning of a part of a descriptor", s)
		}
		part, body := s[0], s[2:]
		end := partEnd(body)
		body, s = body[:end], body[end:]
		var err error
		switch part {
		case 'O':
			d.Owner, err = n.parseSID(body)
		case 'G':
			d.Group, err = n.parseSID(body)
		case 'D':
			d.DACL, err = d.parseList(body, n, DACLPresent, DACLProtected, DACLInheritReq, DACLAutoInherited)
		case 'S':
			d.SACL, err = d.parseList(body, n, SACLPresent, SACLProtected, SACLInheritReq, SACLAutoInherited)
		default:
			err = fmt.Errorf("security: a descriptor has no part %q", string(part))
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// partEnd finds where the next part begins: at a letter with a colon after it.
func partEnd(s string) int {
	if i := strings.IndexByte(s, ':'); i > 0 {
		return i - 1
	}
	return len(s)
}

func (d *Descriptor) parseList(s string, n Names, present, protected, request, auto Control) ([]ACE, error) {
	d.Control |= present
	if s == "NO_ACCESS_CONTROL" {
		return nil, nil
	}
	flags := s
	if i := strings.IndexByte(s, '('); i >= 0 {
		flags, s = s[:i], s[i:]
	} else {
		s = ""
	}
	for flags != "" {
		switch {
		case strings.HasPrefix(flags, "P"):
			d.Control |= protected
			flags = flags[1:]
		case strings.HasPrefix(flags, "AR"):
			d.Control |= request
			flags = flags[2:]
		case strings.HasPrefix(flags, "AI"):
			d.Control |= auto
			flags = flags[2:]
		default:
			return nil, fmt.Errorf("security: a list has no flags %.20q", flags)
		}
	}
	list := []ACE{}
	for s != "" {
		end := strings.IndexByte(s, ')')
		if s[0] != '(' || end < 0 {
			return nil, fmt.Errorf("security: %.40q is not an entry", s)
		}
		a, err := parseACE(s[1:end], n)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
		s = s[end+1:]
	}
	return list, nil
}

func parseACE(s string, n Names) (a ACE, err error) {
	f := strings.Split(s, ";")
	if len(f) != 6 {
		return a, fmt.Errorf("security: (%.80s) has %d fields, not 6", s, len(f))
	}
	known := false
	for _, c := range typeCodes() {
		if c.name == f[0] {
			a.Type, known = Type(c.bits), true
		}
	}
	if !known {
		return a, fmt.Errorf("security: %.20q is no type of entry", f[0])
	}
	flags, err := bitsOf(f[1], flagCodes())
	if err != nil {
		return a, err
	}
	a.Flags = Flags(flags)
	var rights uint32
	if strings.HasPrefix(f[2], "0x") {
		v, perr := strconv.ParseUint(f[2][2:], 16, 32)
		rights, err = uint32(v), perr
	} else {
		rights, err = bitsOf(f[2], rightCodes())
	}
	if err != nil {
		return a, err
	}
	a.Mask = Mask(rights)
	for i, to := range []*model.GUID{&a.Object, &a.Class} {
		if f[3+i] == "" {
			continue
		}
		if a.Type < AllowObject {
			return a, fmt.Errorf("security: (%.80s) names an object, and its type does not", s)
		}
		if *to, err = model.ParseGUID(f[3+i]); err != nil {
			return a, err
		}
	}
	a.SID, err = n.parseSID(f[5])
	return a, err
}

// SDDL writes the text form. Entries that are not understood are left out.
func (d *Descriptor) SDDL(n Names) string {
	var b strings.Builder
	if d.Owner != "" {
		b.WriteString("O:" + n.formatSID(d.Owner))
	}
	if d.Group != "" {
		b.WriteString("G:" + n.formatSID(d.Group))
	}
	d.writeList(&b, n, "D:", d.DACL, DACLPresent, DACLProtected, DACLInheritReq, DACLAutoInherited)
	d.writeList(&b, n, "S:", d.SACL, SACLPresent, SACLProtected, SACLInheritReq, SACLAutoInherited)
	return b.String()
}

func (d *Descriptor) writeList(b *strings.Builder, n Names, name string, list []ACE, present, protected, request, auto Control) {
	if d.Control&present == 0 {
		return
	}
	b.WriteString(name)
	if list == nil {
		b.WriteString("NO_ACCESS_CONTROL")
		return
	}
	for _, f := range []struct {
		c    Control
		name string
	}{{protected, "P"}, {request, "AR"}, {auto, "AI"}} {
		if d.Control&f.c != 0 {
			b.WriteString(f.name)
		}
	}
	for i := range list {
		list[i].write(b, n)
	}
}

func (a *ACE) write(b *strings.Builder, n Names) {
	if a.Raw != nil {
		return
	}
	kind := ""
	for _, c := range typeCodes() {
		if Type(c.bits) == a.Type {
			kind = c.name
		}
	}
	flags, _ := namesOf(uint32(a.Flags), flagCodes())
	rights, left := namesOf(uint32(a.Mask), rightCodes())
	if left != 0 {
		rights = fmt.Sprintf("0x%x", uint32(a.Mask))
	}
	guid := func(g model.GUID) string {
		if g.IsZero() {
			return ""
		}
		return g.String()
	}
	fmt.Fprintf(b, "(%s;%s;%s;%s;%s;%s)", kind, flags, rights, guid(a.Object), guid(a.Class), n.formatSID(a.SID))
}
