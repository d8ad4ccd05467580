// Package security has identifiers, access control lists and descriptors as
// Windows and its directory know them (MS-DTYP 2.4), their text form (MS-DTYP
// 2.5.1), how objects inherit them (MS-DTYP 2.5.3.4) and what they permit in a
// directory (MS-ADTS 5.1.3). Pure functions. What comes from outside is at most
// 64 KB, as the 16-bit sizes of the format have it.
package security

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rialto/internal/model"
)

// Control are flags of a descriptor (MS-DTYP 2.4.6).
type Control uint16

// The flags that have a meaning in a directory.
const (
	OwnerDefaulted    Control = 0x0001
	GroupDefaulted    Control = 0x0002
	DACLPresent       Control = 0x0004
	DACLDefaulted     Control = 0x0008
	SACLPresent       Control = 0x0010
	SACLDefaulted     Control = 0x0020
	DACLInheritReq    Control = 0x0100
	SACLInheritReq    Control = 0x0200
	DACLAutoInherited Control = 0x0400
	SACLAutoInherited Control = 0x0800
	DACLProtected     Control = 0x1000
	SACLProtected     Control = 0x2000
	selfRelative      Control = 0x8000
)

// Descriptor says who owns an object, who may do what with it, and what is to be
// audited. A list that is flagged as present and nil permits everything.
type Descriptor struct {
	Control      Control
	Owner, Group SID
	DACL, SACL   []ACE
}

// Type is the kind of an entry (MS-DTYP 2.4.4.1).
type Type uint8

// The kinds that are understood. Others are kept as they are and grant nothing.
const (
	Allow       Type = 0
	Deny        Type = 1
	Audit       Type = 2
	AllowObject Type = 5
	DenyObject  Type = 6
	AuditObject Type = 7
)

// Flags say how an entry is inherited (MS-DTYP 2.4.4.1).
type Flags uint8

// The flags.
const (
	ObjectInherit    Flags = 0x01
	ContainerInherit Flags = 0x02
	NoPropagate      Flags = 0x04
	InheritOnly      Flags = 0x08
	Inherited        Flags = 0x10
	AuditSuccess     Flags = 0x40
	AuditFailure     Flags = 0x80
)

// Mask are rights (MS-ADTS 5.1.3.2).
type Mask uint32

// The rights on objects of a directory.
const (
	CreateChild    Mask = 1 << 0
	DeleteChild    Mask = 1 << 1
	ListContents   Mask = 1 << 2
	ValidatedWrite Mask = 1 << 3
	ReadProperty   Mask = 1 << 4
	WriteProperty  Mask = 1 << 5
	DeleteTree     Mask = 1 << 6
	ListObject     Mask = 1 << 7
	ControlAccess  Mask = 1 << 8
	Delete         Mask = 1 << 16
	ReadControl    Mask = 1 << 17
	WriteDAC       Mask = 1 << 18
	WriteOwner     Mask = 1 << 19
	SystemSecurity Mask = 1 << 24
	GenericAll     Mask = 1 << 28
	GenericExecute Mask = 1 << 29
	GenericWrite   Mask = 1 << 30
	GenericRead    Mask = 1 << 31

	FullControl = Delete | ReadControl | WriteDAC | WriteOwner | 0x1ff
	generic     = GenericAll | GenericExecute | GenericWrite | GenericRead
)

// Specific replaces the generic rights by what they stand for in a directory
// (MS-ADTS 5.1.3.2.1).
func (m Mask) Specific() Mask {
	for _, g := range []struct{ from, to Mask }{
		{GenericAll, FullControl},
		{GenericExecute, ReadControl | ListContents},
		{GenericWrite, ReadControl | ValidatedWrite | WriteProperty},
		{GenericRead, ReadControl | ListContents | ReadProperty | ListObject},
	} {
		if m&g.from != 0 {
			m = m&^g.from | g.to
		}
	}
	return m
}

// ACE is an entry of a list. Object names the property, property set, right or
// class that the entry is about, Class the class of objects that inherit it;
// zero: all.
type ACE struct {
	Type          Type
	Flags         Flags
	Mask          Mask
	Object, Class model.GUID
	SID           SID
	Raw           []byte // of an entry that is not understood, all after its header; then the fields above but Type and Flags are zero
}

var errDescriptor = errors.New("security: the descriptor makes no sense")

const (
	aclRevision   = 2
	aclRevisionDS = 4 // with entries about objects
)

// Decode reads the self-relative form (MS-DTYP 2.4.6).
func Decode(b []byte) (*Descriptor, error) {
	if len(b) < 20 || len(b) > 1<<16 || b[0] != 1 {
		return nil, errDescriptor
	}
	d := &Descriptor{Control: Control(binary.LittleEndian.Uint16(b[2:])) &^ selfRelative}
	at := func(field int) []byte {
		n := binary.LittleEndian.Uint32(b[field:])
		if n == 0 {
			return nil
		}
		return b[min(int64(n), int64(len(b))):]
	}
	var err error
	for _, s := range []struct {
		to    *SID
		field int
	}{{&d.Owner, 4}, {&d.Group, 8}} {
		if p := at(s.field); p != nil && err == nil {
			*s.to, _, err = cutSID(p)
		}
	}
	for _, l := range []struct {
		to      *[]ACE
		field   int
		present Control
	}{{&d.SACL, 12, SACLPresent}, {&d.DACL, 16, DACLPresent}} {
		if p := at(l.field); p != nil && err == nil && d.Control&l.present != 0 {
			*l.to, err = decodeACL(p)
		}
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func decodeACL(b []byte) ([]ACE, error) {
	if len(b) < 8 || b[0] != aclRevision && b[0] != aclRevisionDS {
		return nil, errDescriptor
	}
	size, count := int(binary.LittleEndian.Uint16(b[2:])), int(binary.LittleEndian.Uint16(b[4:]))
	if size < 8 || size > len(b) || count > size/8 {
		return nil, errDescriptor
	}
	list := make([]ACE, 0, count)
	for b = b[8:size]; len(list) < count; {
		if len(b) < 4 {
			return nil, errDescriptor
		}
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if n < 4 || n%4 != 0 || n > len(b) {
			return nil, errDescriptor
		}
		a, err := decodeACE(Type(b[0]), Flags(b[1]), b[4:n])
		if err != nil {
			return nil, err
		}
		list = append(list, a)
		b = b[n:]
	}
	return list, nil
}

// Which types of objects an entry names.
const (
	hasObject = 1
	hasClass  = 2
)

func decodeACE(t Type, f Flags, b []byte) (a ACE, err error) {
	a = ACE{Type: t, Flags: f}
	object := t == AllowObject || t == DenyObject || t == AuditObject
	if t > Audit && !object {
		a.Raw = append([]byte{}, b...)
		return a, nil
	}
	if len(b) < 4 {
		return a, errDescriptor
	}
	a.Mask, b = Mask(binary.LittleEndian.Uint32(b)), b[4:]
	if object {
		if len(b) < 4 {
			return a, errDescriptor
		}
		has := binary.LittleEndian.Uint32(b)
		b = b[4:]
		for _, g := range []struct {
			bit uint32
			to  *model.GUID
		}{{hasObject, &a.Object}, {hasClass, &a.Class}} {
			if has&g.bit == 0 {
				continue
			}
			if len(b) < 16 {
				return a, errDescriptor
			}
			copy(g.to[:], b)
			b = b[16:]
		}
	}
	// What follows the SID is for the application; nobody uses it here.
	a.SID, _, err = cutSID(b)
	return a, err
}

// Encode returns the self-relative form. It fails if that would be too large for
// its 16-bit sizes.
func (d *Descriptor) Encode() ([]byte, error) {
	b := make([]byte, 20)
	b[0] = 1
	binary.LittleEndian.PutUint16(b[2:], uint16(d.Control|selfRelative))
	put := func(field int, part []byte) {
		if part != nil {
			binary.LittleEndian.PutUint32(b[field:], uint32(len(b)))
			b = append(b, part...)
		}
	}
	for _, l := range []struct {
		list    []ACE
		field   int
		present Control
	}{{d.SACL, 12, SACLPresent}, {d.DACL, 16, DACLPresent}} {
		if d.Control&l.present == 0 || l.list == nil {
			continue
		}
		part, err := encodeACL(l.list)
		if err != nil {
			return nil, err
		}
		put(l.field, part)
	}
	for _, s := range []struct {
		sid   SID
		field int
	}{{d.Owner, 4}, {d.Group, 8}} {
		if s.sid != "" {
			put(s.field, []byte(s.sid))
		}
	}
	if len(b) > 1<<16-1 {
		return nil, fmt.Errorf("security: a descriptor of %d octets is too large", len(b))
	}
	return b, nil
}

func encodeACL(list []ACE) ([]byte, error) {
	b := make([]byte, 8)
	b[0] = aclRevision
	for i := range list {
		a := &list[i]
		start := len(b)
		b = append(b, byte(a.Type), byte(a.Flags), 0, 0)
		if a.Raw != nil {
			b = append(b, a.Raw...)
		} else {
			b = binary.LittleEndian.AppendUint32(b, uint32(a.Mask))
			if a.Type >= AllowObject {
				b[0] = aclRevisionDS
				b = a.appendObjects(b)
			}
			b = append(b, a.SID...)
		}
		binary.LittleEndian.PutUint16(b[start+2:], uint16(len(b)-start))
		if len(b) > 1<<16-1 {
			return nil, errors.New("security: an access control list of over 64 KB")
		}
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(b)))
	binary.LittleEndian.PutUint16(b[4:], uint16(len(list)))
	return b, nil
}

func (a *ACE) appendObjects(b []byte) []byte {
	var has uint32
	if !a.Object.IsZero() {
		has |= hasObject
	}
	if !a.Class.IsZero() {
		has |= hasClass
	}
	b = binary.LittleEndian.AppendUint32(b, has)
	if has&hasObject != 0 {
		b = append(b, a.Object[:]...)
	}
	if has&hasClass != 0 {
		b = append(b, a.Class[:]...)
	}
	return b
}
