package store

import (
	"encoding/binary"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// reader takes values off the front of a stored row; bad is set, and stays
// set, at the first that is not there.
type reader struct {
	b   []byte
	bad bool
}

func (d *reader) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *reader) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	x := d.b[:n:n]
	d.b = d.b[n:]
	return x
}

func (d *reader) string() string { return string(d.bytes()) }

func (d *reader) cn() CN { return CN{ReplicaID(d.uvarint()), d.uvarint()} }

func (d *reader) guid() (g model.GUID) {
	if len(d.b) < 16 {
		d.bad = true
		return g
	}
	copy(g[:], d.b)
	d.b = d.b[16:]
	return g
}

func (d *reader) time() time.Time {
	ft := d.uvarint()
	if ft == 0 {
		return time.Time{}
	}
	return mapi.FromFileTime(ft)
}

func (d *reader) err(what string) error {
	if d.bad {
		return corrupt(what)
	}
	return nil
}
