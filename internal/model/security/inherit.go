package security

import (
	"slices"

	"rialto/internal/model"
)

// Explicit returns d without what it has inherited.
func (d *Descriptor) Explicit() *Descriptor {
	e := *d
	inherited := func(a ACE) bool { return a.Flags&Inherited != 0 }
	e.DACL = slices.DeleteFunc(slices.Clone(d.DACL), inherited)
	e.SACL = slices.DeleteFunc(slices.Clone(d.SACL), inherited)
	return &e
}

// Under returns the descriptor of an object of these classes whose explicit one is
// d, below a parent with the effective descriptor parent; nil: there is none
// (MS-DTYP 2.5.3.4). Explicit entries come before inherited ones, and among the
// explicit ones those that deny first, as the directory keeps them. A list that
// is protected inherits nothing.
func (d *Descriptor) Under(parent *Descriptor, classes []model.GUID) *Descriptor {
	e := *d
	e.DACL = d.list(d.DACL, DACLPresent, DACLProtected, parent, func(p *Descriptor) []ACE { return p.DACL }, classes)
	e.SACL = d.list(d.SACL, SACLPresent, SACLProtected, parent, func(p *Descriptor) []ACE { return p.SACL }, classes)
	if e.DACL != nil {
		e.Control |= DACLPresent | DACLAutoInherited
	}
	if e.SACL != nil {
		e.Control |= SACLPresent | SACLAutoInherited
	}
	return &e
}

func (d *Descriptor) list(own []ACE, present, protected Control, parent *Descriptor, of func(*Descriptor) []ACE, classes []model.GUID) []ACE {
	if d.Control&present != 0 && own == nil {
		return nil // permits everything, whatever the parent says
	}
	var out []ACE
	if d.Control&present != 0 {
		out = []ACE{} // empty, it lets nobody do anything
	}
	for i := range own {
		if a := own[i]; a.Flags&Inherited == 0 {
			out = d.apply(out, a, 0)
		}
	}
	if d.Control&protected != 0 || parent == nil {
		return out
	}
	for _, a := range of(parent) {
		if a.Flags&ContainerInherit == 0 {
			continue
		}
		f := Inherited
		if a.Flags&NoPropagate == 0 {
			f |= a.Flags & (ContainerInherit | ObjectInherit)
		}
		if !a.Class.IsZero() && !slices.Contains(classes, a.Class) {
			if a.Flags&NoPropagate == 0 { // it may be about something further below
				a.Flags = a.Flags&(AuditSuccess|AuditFailure) | f | InheritOnly
				out = append(out, a)
			}
			continue
		}
		a.Flags &= AuditSuccess | AuditFailure
		out = d.apply(out, a, f)
	}
	return out
}

// apply appends an entry that is effective on the object of d. Generic rights
// and the creator's identifiers are replaced by what they stand for here; if the
// entry is inherited further, it goes on as it was.
func (d *Descriptor) apply(out []ACE, a ACE, inherited Flags) []ACE {
	a.Flags |= inherited
	if a.Flags&InheritOnly != 0 || a.Raw != nil {
		return append(out, a)
	}
	here := a
	here.Mask = a.Mask.Specific()
	switch a.SID {
	case CreatorOwner:
		here.SID = d.Owner
	case CreatorGroup:
		here.SID = d.Group
	}
	if here.Mask == a.Mask && here.SID == a.SID || a.Flags&ContainerInherit == 0 {
		return append(out, here)
	}
	here.Flags &^= ContainerInherit | ObjectInherit | NoPropagate
	a.Flags |= InheritOnly
	return append(out, here, a)
}
