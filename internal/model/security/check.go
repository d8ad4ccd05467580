package security

import (
	"slices"

	"rialto/internal/model"
)

// Token is who asks: an account and the groups that it is in, all of them.
// Nested groups are resolved by who makes the token.
type Token struct {
	User   SID
	Groups []SID // ascending
	// Privileges that count in a directory.
	Security      bool // may read and write audit lists
	TakeOwnership bool
	Restore       bool // may name anybody as owner
}

// NewToken makes a token. groups may be in any order.
func NewToken(user SID, groups ...SID) *Token {
	g := slices.Clone(groups)
	slices.Sort(g)
	return &Token{User: user, Groups: slices.Compact(g)}
}

// Has reports whether the token is of the account s or in the group s.
func (t *Token) Has(s SID) bool {
	if s == "" {
		return false
	}
	if s == t.User {
		return true
	}
	_, ok := slices.BinarySearch(t.Groups, s)
	return ok
}

// Query is one question of access.
type Query struct {
	Want Mask
	// Objects is what the question is about, from the particular to the general: a
	// property, its property set and the class of the object; or an extended right;
	// or the class of a child. An entry about any of them decides.
	Objects []model.GUID
	Self    SID // of the object itself, if it is an account
}

// Permits reports whether d permits t all rights that q wants (MS-ADTS 5.1.3.3).
// Entries are read in their order: the first that is about a right decides it.
func (d *Descriptor) Permits(t *Token, q Query) bool {
	left := q.Want.Specific()
	if left&SystemSecurity != 0 {
		if !t.Security {
			return false
		}
		left &^= SystemSecurity
	}
	if left&WriteOwner != 0 && t.TakeOwnership {
		left &^= WriteOwner
	}
	if d.Control&DACLPresent == 0 || d.DACL == nil {
		return true
	}
	if d.Owner != "" && t.Has(d.Owner) && !d.limitsOwner() {
		left &^= ReadControl | WriteDAC
	}
	for i := 0; i < len(d.DACL) && left != 0; i++ {
		a := &d.DACL[i]
		m := a.Mask
		if m&generic != 0 {
			m = m.Specific()
		}
		if m&left == 0 || a.Flags&InheritOnly != 0 || !a.Object.IsZero() && !slices.Contains(q.Objects, a.Object) || !d.concerns(a, t, q.Self) {
			continue
		}
		switch a.Type {
		case Allow, AllowObject:
			left &^= m
		case Deny, DenyObject:
			if m&left != 0 {
				return false
			}
		}
	}
	return left == 0
}

// concerns reports whether an entry is about the one who asks.
func (d *Descriptor) concerns(a *ACE, t *Token, self SID) bool {
	switch a.SID {
	case Self:
		return t.Has(self)
	case OwnerRights:
		return t.Has(d.Owner)
	}
	return t.Has(a.SID)
}

// limitsOwner reports whether entries say what the owner may do.
func (d *Descriptor) limitsOwner() bool {
	for i := range d.DACL {
		if a := &d.DACL[i]; a.SID == OwnerRights && a.Flags&InheritOnly == 0 {
			return true
		}
	}
	return false
}

// Granted returns which of the rights in want d permits t, each asked alone.
func (d *Descriptor) Granted(t *Token, q Query) Mask {
	var out Mask
	for want := q.Want.Specific(); want != 0; want &= want - 1 {
		q.Want = want & -want
		if d.Permits(t, q) {
			out |= q.Want
		}
	}
	return out
}
