package layout

import (
	"encoding/binary"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
)

// Reader reads rows of the store.
type Reader struct{ row.Reader }

// NewReader returns a Reader of a row, which it does not change.
func NewReader(b []byte) Reader { return Reader{row.Reader{B: b}} }

func (d *Reader) cn() CN { return CN{ReplicaID(d.Uvarint()), d.Uvarint()} }

// Time reads what AppendTime wrote.
func (d *Reader) Time() time.Time {
	ft := d.Uvarint()
	if ft == 0 {
		return time.Time{}
	}
	return mapi.FromFileTime(ft)
}

// Err is KindCorrupt if the row, called what, ended early or had a bad value.
func (d *Reader) Err(what string) error {
	if d.Bad {
		return Corrupt(what)
	}
	return nil
}

// Copied returns the next octets as a slice of its own, nil if there are none.
func (d *Reader) Copied() []byte {
	if b := d.Bytes(); len(b) > 0 {
		return append([]byte(nil), b...)
	}
	return nil
}

func appendCN(b []byte, c CN) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.Replica)), c.Counter)
}

// AppendTime appends a time in FILETIME ticks; 0 is the zero time.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendUvarint(b, 0)
	}
	return binary.AppendUvarint(b, mapi.FileTime(t))
}

// Corrupt is the error of a damaged row.
func Corrupt(what string) error { return model.E("store.decode", model.KindCorrupt, what, nil) }
