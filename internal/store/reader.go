package store

import (
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model/row"
)

// reader reads rows of the store.
type reader struct{ row.Reader }

func newReader(b []byte) reader { return reader{row.Reader{B: b}} }

func (d *reader) cn() CN { return CN{ReplicaID(d.Uvarint()), d.Uvarint()} }

func (d *reader) time() time.Time {
	ft := d.Uvarint()
	if ft == 0 {
		return time.Time{}
	}
	return mapi.FromFileTime(ft)
}

func (d *reader) err(what string) error {
	if d.Bad {
		return corrupt(what)
	}
	return nil
}

// copied returns the next octets as a slice of its own, nil if there are none.
func (d *reader) copied() []byte {
	if b := d.Bytes(); len(b) > 0 {
		return append([]byte(nil), b...)
	}
	return nil
}
