package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"rialto/internal/directory/schema"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/wire/ldap"
)

// object is a row of the tree. DN values in attrs are 8-byte numbers; linked
// attributes and those that follow from the row (distinguishedName, name) are
// not in attrs.
type object struct {
	n       dnt
	parent  dnt
	rdn     ldap.AVA // type in the schema's spelling
	deleted bool
	guid    model.GUID
	attrs   []attribute
}

type attribute struct {
	name   string // schema's spelling
	values [][]byte
}

const objectVersion = 1

func (o *object) get(name string) [][]byte {
	for i := range o.attrs {
		if o.attrs[i].name == name {
			return o.attrs[i].values
		}
	}
	return nil
}

func (o *object) text(name string) string {
	if v := o.get(name); len(v) > 0 {
		return string(v[0])
	}
	return ""
}

// set replaces the values of an attribute; none removes it.
func (o *object) set(name string, values ...[]byte) {
	for i := range o.attrs {
		if o.attrs[i].name == name {
			if len(values) == 0 {
				o.attrs = append(o.attrs[:i:i], o.attrs[i+1:]...)
				return
			}
			o.attrs[i].values = values
			return
		}
	}
	if len(values) > 0 {
		o.attrs = append(o.attrs, attribute{name, values})
	}
}

func (o *object) setText(name string, values ...string) {
	var vs [][]byte
	for _, v := range values {
		vs = append(vs, []byte(v))
	}
	o.set(name, vs...)
}

// clone copies an object so deep that set may be used on the copy.
func (o *object) clone() *object {
	c := *o
	c.attrs = append([]attribute(nil), o.attrs...)
	return &c
}

func (o *object) classes() []string {
	var out []string
	for _, v := range o.get("objectClass") {
		out = append(out, string(v))
	}
	return out
}

func (o *object) is(class string) bool {
	for _, v := range o.get("objectClass") {
		if strings.EqualFold(string(v), class) {
			return true
		}
	}
	return false
}

func (o *object) encode() []byte {
	b := []byte{objectVersion}
	b = binary.AppendUvarint(b, uint64(o.parent))
	flags := byte(0)
	if o.deleted {
		flags = 1
	}
	b = append(b, flags)
	b = append(b, o.guid[:]...)
	b = row.AppendText(row.AppendText(b, o.rdn.Type), o.rdn.Value)
	b = binary.AppendUvarint(b, uint64(len(o.attrs)))
	for _, a := range o.attrs {
		b = row.AppendText(b, a.name)
		b = binary.AppendUvarint(b, uint64(len(a.values)))
		for _, v := range a.values {
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		}
	}
	return b
}

func decodeObject(n dnt, b []byte) (*object, error) {
	d := row.Reader{B: b}
	if d.Byte() != objectVersion {
		d.Bad = true
	}
	o := &object{n: n, parent: dnt(d.Uvarint())}
	o.deleted = d.Byte()&1 != 0
	copy(o.guid[:], d.Take(16))
	o.rdn.Type, o.rdn.Value = d.Text(), d.Text()
	count := d.Uvarint()
	if count > uint64(len(d.B)) {
		d.Bad = true
	}
	for ; count > 0 && !d.Bad; count-- {
		a := attribute{name: d.Text()}
		n := d.Uvarint()
		if n > uint64(len(d.B)) {
			d.Bad = true
		}
		for ; n > 0 && !d.Bad; n-- {
			a.values = append(a.values, d.Take(int(d.Uvarint())))
		}
		o.attrs = append(o.attrs, a)
	}
	if d.Bad || len(d.B) > 0 {
		return nil, model.E("directory.decode", model.KindCorrupt, "object", nil)
	}
	return o, nil
}

func (n dnt) bytes() []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func toDNT(b []byte) dnt {
	if len(b) != 8 {
		return 0
	}
	return dnt(binary.BigEndian.Uint64(b))
}

func key64(space byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{space}, n) }

func objectKey(n dnt) []byte { return key64(spaceObject, uint64(n)) }

func guidKey(g model.GUID) []byte { return append([]byte{spaceGUID}, g[:]...) }

func usnKey(u int64) []byte { return key64(spaceUSN, uint64(u)) }

// childKey finds a child by its RDN, compared as names are.
func childKey(parent dnt, rdn ldap.AVA) []byte {
	h := sha256.Sum256([]byte(ldap.DN{{rdn}}.Key()))
	return append(key64(spaceChild, uint64(parent)), h[:16]...)
}

func linkKey(space byte, link int, from, to dnt) []byte {
	b := binary.BigEndian.AppendUint32([]byte{space}, uint32(link))
	b = append(b, from.bytes()...)
	if to != 0 {
		b = append(b, to.bytes()...)
	}
	return b
}

// maxIndexed is how much of a value stands in an index.
const maxIndexed = 512

func indexPrefix(attr string, value []byte) []byte {
	b := append([]byte{spaceIndex}, strings.ToLower(attr)...)
	b = append(b, 0)
	return append(b, value[:min(len(value), maxIndexed)]...)
}

func indexKey(attr string, value []byte, n dnt) []byte {
	return append(append(indexPrefix(attr, value), 0), n.bytes()...)
}

// indexed reports whether an attribute has an index of its own here: what the
// schema says, and what mail looks up all the time.
func indexed(a *schema.Attribute) bool {
	if a.Link != 0 {
		return false // the link spaces are the index
	}
	return a.Indexed() || a.Syntax == schema.SyntaxDN && a.Name == "objectCategory"
}
