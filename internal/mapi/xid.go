package mapi

import (
	"bytes"
	"slices"

	"rialto/internal/model"
)

// XID names a version of an object, or the object, as whoever made it does
// (MS-OXCFXICS 2.2.2.2): a namespace and an id in it, of 1 to 8 octets, or more
// from foreign systems. A change key is one XID; ours has a counter.
type XID struct {
	Namespace model.GUID
	Local     []byte
}

const (
	minXID  = 17
	maxXID  = 255 // what the octet before it can say
	maxPCL  = 4096
	ownSize = 6
)

// CounterXID is the XID of a counter of a replica.
func CounterXID(replica model.GUID, n uint64) XID {
	return XID{replica, appendOctets(nil, n, 0, ownSize)}
}

// Counter returns the counter of an XID that has one.
func (x XID) Counter() (n uint64, ok bool) {
	for _, c := range x.Local {
		n = n<<8 | uint64(c)
	}
	return n, len(x.Local) == ownSize
}

// Append appends the wire form: the namespace, then the local id.
func (x XID) Append(b []byte) []byte { return append(append(b, x.Namespace[:]...), x.Local...) }

// ParseXID reads the wire form, whose length is that of the value it stands in.
// The result is a copy.
func ParseXID(b []byte) (XID, error) {
	if len(b) < minXID || len(b) > maxXID {
		return XID{}, model.E("mapi.xid", model.KindInvalid, "XID", nil)
	}
	return XID{model.GUID(b[:16]), bytes.Clone(b[16:])}, nil
}

// compareLocal compares local ids of one namespace as numbers.
func compareLocal(a, b []byte) int {
	a, b = bytes.TrimLeft(a, "\x00"), bytes.TrimLeft(b, "\x00")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// PCL is a predecessor change list (MS-OXCFXICS 2.2.2.3): the versions that one
// is made from and its own, at most one of each namespace, by namespace.
type PCL []XID

// ParsePCL reads the wire form, and puts right the order of a careless sender.
func ParsePCL(b []byte) (PCL, error) {
	var p PCL
	for len(b) > 0 {
		n := int(b[0])
		if n < minXID || n > len(b)-1 || len(p) == maxPCL {
			return nil, model.E("mapi.pcl", model.KindInvalid, "predecessor change list", nil)
		}
		x, err := ParseXID(b[1 : 1+n])
		if err != nil {
			return nil, err
		}
		p, b = append(p, x), b[1+n:]
	}
	return p.sorted(), nil
}

// sorted orders p by namespace and keeps the newest of each.
func (p PCL) sorted() PCL {
	slices.SortStableFunc(p, func(a, b XID) int {
		if c := bytes.Compare(a.Namespace[:], b.Namespace[:]); c != 0 {
			return c
		}
		return compareLocal(b.Local, a.Local)
	})
	return slices.CompactFunc(p, func(a, b XID) bool { return a.Namespace == b.Namespace })
}

// Append appends the wire form.
func (p PCL) Append(b []byte) []byte {
	for _, x := range p {
		b = x.Append(append(b, byte(16+len(x.Local))))
	}
	return b
}

// Includes reports whether x is one of the versions, or older than one.
func (p PCL) Includes(x XID) bool {
	i, ok := slices.BinarySearchFunc(p, x, func(a, b XID) int { return bytes.Compare(a.Namespace[:], b.Namespace[:]) })
	return ok && compareLocal(p[i].Local, x.Local) >= 0
}

// includes reports whether all of o are included.
func (p PCL) includes(o PCL) bool {
	for _, x := range o {
		if !p.Includes(x) {
			return false
		}
	}
	return true
}

// With returns p with a version added, in place of an older one of its
// namespace; p is not changed.
func (p PCL) With(x XID) PCL { return p.Merge(PCL{x}) }

// Merge returns the newest of each namespace of both; neither is changed.
func (p PCL) Merge(o PCL) PCL { return slices.Concat(p, o).sorted() }

// Order says how two versions stand to each other.
type Order uint8

// The orders.
const (
	Same     Order = iota // of one version
	Newer                 // the first is made from the second
	Older                 // the second is made from the first
	Conflict              // each knows of changes that the other does not
)

// Compare tells how the version with p stands to that with o
// (MS-OXCFXICS 3.1.5.6.1).
func (p PCL) Compare(o PCL) Order {
	a, b := p.includes(o), o.includes(p)
	switch {
	case a && b:
		return Same
	case a:
		return Newer
	case b:
		return Older
	}
	return Conflict
}
