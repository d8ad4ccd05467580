package store

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/layout"
)

// DeviceState is what the server remembers of one collection of a device, for
// protocols that keep state here (ActiveSync). Each state has a key of one more
// than the state before; the one before is kept, so that the retry of a lost
// response finds what it was made from.
type DeviceState struct {
	Key   uint32
	State []byte // opaque; rows hold at most maxDeviceRow of it each
}

const (
	deviceVersion = 1
	maxDeviceRow  = 192 << 10
	// maxDeviceState bounds a state: a million items of four octets.
	maxDeviceState = 4 << 20
)

// DeviceStates returns the states of a collection: the last one, and the one
// before. A zero Key means that there is none.
func (v *View) DeviceStates(ctx context.Context, device, collection [16]byte) (last, before DeviceState, err error) {
	if err := v.m.mayAll("store.device"); err != nil {
		return last, before, err
	}
	k := v.m.num.DeviceRow(device, collection, 0, 0)
	p := k[:len(k)-3]
	it := v.snap.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
	var both [2]DeviceState
	for it.Next() {
		d := layout.NewReader(it.Value())
		g := it.Key()[len(p)] & 1
		if d.Byte() != deviceVersion {
			d.Bad = true
		}
		both[g].Key = uint32(d.Uvarint())
		both[g].State = append(both[g].State, d.Bytes()...)
		if err := d.Err("device state"); err != nil {
			it.Close()
			return last, before, err
		}
	}
	last, before = both[0], both[1]
	if before.Key > last.Key {
		last, before = before, last
	}
	return last, before, wrap("store.device", "mailbox", it.Close())
}

// PutDeviceState makes st the last state of a collection. It takes the place of
// the state before the one it was made from: st.Key is one more than that one's,
// or 1. Older states, and one of the same key, are dropped.
func (m *Mailbox) PutDeviceState(ctx context.Context, device, collection [16]byte, st DeviceState) error {
	if st.Key == 0 || len(st.State) > maxDeviceState*3/4 {
		return model.E("store.device", model.KindTooLarge, "device state", nil)
	}
	if err := m.mayAll("store.device"); err != nil {
		return err
	}
	return m.update(ctx, "store.device", func(t *txn) error {
		// Generations take turns: odd keys are in one place, even ones in the other.
		g := byte(st.Key & 1)
		k := m.num.DeviceRow(device, collection, g, 0)
		t.b.DeleteRange(k, layout.PrefixEnd(k[:len(k)-2]))
		if st.Key == 1 {
			k := m.num.DeviceRow(device, collection, 0, 0)
			t.b.DeleteRange(k[:len(k)-3], layout.PrefixEnd(k[:len(k)-3]))
		}
		rest := st.State
		for n := uint16(0); n == 0 || len(rest) > 0; n++ {
			part := rest[:min(len(rest), maxDeviceRow)]
			rest = rest[len(part):]
			v := binary.AppendUvarint([]byte{deviceVersion}, uint64(st.Key))
			t.b.Set(m.num.DeviceRow(device, collection, g, n), row.AppendText(v, string(part)))
		}
		return nil
	})
}

// DropDevice removes what is remembered of a device, or of one collection.
func (m *Mailbox) DropDevice(ctx context.Context, device [16]byte, collection *[16]byte) error {
	if err := m.mayAll("store.device"); err != nil {
		return err
	}
	p := append(m.num.Key(layout.SubDevice), device[:]...)
	if collection != nil {
		p = append(p, collection[:]...)
	}
	return m.update(ctx, "store.device", func(t *txn) error {
		t.b.Reclaim()
		t.b.DeleteRange(p, layout.PrefixEnd(p))
		return nil
	})
}
