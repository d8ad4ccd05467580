package layout

import (
	"encoding/binary"
	"strings"

	"rialto/internal/mapi"
	"rialto/internal/model/row"
)

// FoldProperty gives a name the form in which it is kept: Internet headers have no
// case (MS-OXCDATA 2.6.1).
func FoldProperty(n mapi.PropertyName) mapi.PropertyName {
	if n.Set == mapi.PSInternetHeaders.GUID() {
		n.Name = strings.ToLower(n.Name)
	}
	return n
}

// EncodeName returns the row of a named property.
func EncodeName(n mapi.PropertyName) []byte {
	b := append([]byte{1}, n.Set[:]...)
	b = binary.AppendUvarint(b, uint64(n.LID))
	return row.AppendText(b, n.Name)
}

// DecodeName reads the row of a named property.
func DecodeName(v []byte) (n mapi.PropertyName, err error) {
	d := NewReader(v)
	if d.Byte() != 1 {
		d.Bad = true
	}
	n.Set = d.GUID()
	n.LID = uint32(d.Uvarint())
	n.Name = d.Text()
	return n, d.Err("property name")
}
