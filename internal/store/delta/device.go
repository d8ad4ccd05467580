package delta

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store"
)

// CommandKind is what a device is told to do with an item.
type CommandKind uint8

// The commands of ActiveSync's Sync (MS-ASCMD 2.2.1.21).
const (
	Add CommandKind = iota + 1
	Change
	Delete
	SoftDelete // it is not within the device's filter any more
)

// Command is one change for a device.
type Command struct {
	Kind  CommandKind
	OID   store.OID
	State *store.State // of Add and Change
}

// Round is one Sync request of a device on one collection: it starts from the
// state that the device's key names, takes in what the device did, hands out
// what changed, and leaves the state of the next key behind.
type Round struct {
	m          *store.Mailbox
	device     [16]byte
	collection [16]byte
	folder     store.FolderID
	key        uint32            // the device's
	replayed   map[string]uint64 // ClientIds of a request that is repeated
	st         deviceState
	own        map[store.OID]store.Seq // what the device itself changed in this round
}

// deviceState is what a device has.
type deviceState struct {
	incarnation uint32
	seq         store.Seq // of the folder's log: told up to here
	cutoff      uint64    // FILETIME; older items are not wanted
	have        map[store.OID]bool
	adds        map[string]uint64 // ServerIds by ClientId of the request that made this state
}

const (
	deviceStateVersion = 1
	maxClientID        = 64
	maxClientIDs       = 512
)

func (s *deviceState) encode() []byte {
	b := binary.AppendUvarint([]byte{deviceStateVersion}, uint64(s.incarnation))
	b = binary.AppendUvarint(b, uint64(s.seq))
	b = binary.AppendUvarint(b, s.cutoff)
	b = binary.AppendUvarint(b, uint64(len(s.adds)))
	for _, id := range slices.Sorted(maps.Keys(s.adds)) {
		b = binary.AppendUvarint(row.AppendText(b, id), s.adds[id])
	}
	b = binary.AppendUvarint(b, uint64(len(s.have)))
	last := store.OID(0)
	for _, o := range slices.Sorted(maps.Keys(s.have)) {
		b = binary.AppendUvarint(b, uint64(o-last))
		last = o
	}
	return b
}

func decodeDevice(b []byte) (s deviceState, err error) {
	d := row.Reader{B: b}
	if d.Byte() != deviceStateVersion {
		d.Bad = true
	}
	s = deviceState{incarnation: uint32(d.Uvarint()), seq: store.Seq(d.Uvarint()), cutoff: d.Uvarint(),
		have: map[store.OID]bool{}, adds: map[string]uint64{}}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		id := d.Text()
		s.adds[id] = d.Uvarint()
	}
	last := store.OID(0)
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		last += store.OID(d.Uvarint())
		s.have[last] = true
	}
	if d.Bad {
		return s, model.E("delta.device", model.KindCorrupt, "device state", nil)
	}
	return s, nil
}

// Begin opens a round. Key 0 starts the collection afresh. A key that is
// neither the last one handed out nor the one before gives KindExpired, and so
// does one of another incarnation of the mailbox (status 3: start afresh).
func Begin(ctx context.Context, m *store.Mailbox, device, collection [16]byte, f store.FolderID, key uint32) (*Round, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	inc, err := v.Incarnation(ctx)
	if err != nil {
		return nil, err
	}
	r := &Round{m: m, device: device, collection: collection, folder: f, key: key, own: map[store.OID]store.Seq{}}
	if key == 0 {
		r.st = deviceState{incarnation: inc, have: map[store.OID]bool{}, adds: map[string]uint64{}}
		return r, nil
	}
	last, before, err := v.DeviceStates(ctx, device, collection)
	if err != nil {
		return nil, err
	}
	switch key {
	case last.Key:
	case before.Key:
		lost, err := decodeDevice(last.State)
		if err != nil {
			return nil, err
		}
		r.replayed, last = lost.adds, before
	default:
		return nil, expired()
	}
	if r.st, err = decodeDevice(last.State); err != nil {
		return nil, err
	}
	if r.st.incarnation != inc {
		return nil, expired()
	}
	r.st.adds = map[string]uint64{}
	return r, nil
}

// Repeated returns the item that an earlier try of this request made for a
// ClientId, whose response was lost.
func (r *Round) Repeated(clientID string) (store.OID, bool) {
	o, ok := r.replayed[clientID]
	if ok {
		r.note(clientID, store.OID(o))
	}
	return store.OID(o), ok
}

func (r *Round) note(clientID string, o store.OID) {
	if len(clientID) <= maxClientID && len(r.st.adds) < maxClientIDs {
		r.st.adds[clientID] = uint64(o)
	}
}

// Added tells the round that the device's Add made an item.
func (r *Round) Added(clientID string, s *store.State) {
	r.note(clientID, s.OID)
	r.Changed(s)
}

// Changed tells the round that the device changed an item: it is not told of
// it, unless it changes again. An item that got another OID by the change is
// not one for Changed: the device is told to delete the one and add the other.
func (r *Round) Changed(s *store.State) {
	r.st.have[s.OID], r.own[s.OID] = true, s.Seq
}

// Deleted tells the round that the device deleted an item, or moved it away.
func (r *Round) Deleted(o store.OID) { delete(r.st.have, o) }

// Commands returns what the device has to be told, at most window commands;
// more says that there are others. Items delivered before cutoff are not
// wanted; the zero time wants all.
func (r *Round) Commands(ctx context.Context, window int, cutoff time.Time) (cmds []Command, more bool, err error) {
	v, err := r.m.View(ctx)
	if err != nil {
		return nil, false, err
	}
	defer v.Close()
	limit := mapi.FileTime(cutoff)
	if cutoff.IsZero() {
		limit = 0
	}
	if cmds, err = r.filtered(ctx, v, limit); err != nil {
		return nil, false, err
	}
	if r.st.seq > 0 {
		gone, err := r.lost(ctx, v)
		if err != nil {
			return nil, false, err
		}
		cmds = append(cmds, gone...)
	}
	return r.fromLog(ctx, v, limit, window, cmds)
}

// filtered tells of items that the filter takes in or leaves out since the last
// round. All are told at once: their number does not depend on the window, for
// the position in the log says nothing of them.
func (r *Round) filtered(ctx context.Context, v *store.View, limit uint64) (cmds []Command, err error) {
	from, to := min(limit, r.st.cutoff), max(limit, r.st.cutoff)
	narrower := limit > r.st.cutoff
	if from == to || r.st.seq == 0 {
		r.st.cutoff = limit
		return nil, nil
	}
	var oids []store.OID
	err = v.TimeRange(ctx, r.folder, mapi.FromFileTime(from), mapi.FromFileTime(to), func(o store.OID) bool {
		if r.st.have[o] == narrower {
			oids = append(oids, o)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, o := range oids {
		if narrower {
			delete(r.st.have, o)
			cmds = append(cmds, Command{SoftDelete, o, nil})
			continue
		}
		it, err := v.Item(ctx, o)
		if err != nil {
			return nil, err
		}
		if it.State.Seq > r.st.seq {
			continue // the log tells
		}
		r.st.have[o] = true
		cmds = append(cmds, Command{Add, o, &it.State})
	}
	r.st.cutoff = limit
	return cmds, nil
}

// lost tells of items that are gone when the log does not reach back far enough
// to do so.
func (r *Round) lost(ctx context.Context, v *store.View) (cmds []Command, err error) {
	whole, err := v.Changes(ctx, r.folder, r.st.seq, func(*store.Change) bool { return false })
	if err != nil || whole {
		return nil, err
	}
	there := map[store.OID]bool{}
	err = v.SpaceStates(ctx, r.folder, store.Normal, func(s *store.State) bool {
		there[s.OID] = true
		return true
	})
	for _, o := range slices.Sorted(maps.Keys(r.st.have)) {
		if !there[o] {
			delete(r.st.have, o)
			cmds = append(cmds, Command{Delete, o, nil})
		}
	}
	return cmds, err
}

// fromLog adds what the folder's log tells since the last round.
func (r *Round) fromLog(ctx context.Context, v *store.View, limit uint64, window int, cmds []Command) (_ []Command, more bool, err error) {
	var changes []store.Change
	_, err = v.Changes(ctx, r.folder, r.st.seq, func(c *store.Change) bool {
		if len(changes)+len(cmds) >= window {
			more = true
			return false
		}
		if !c.Associated {
			changes = append(changes, *c)
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	var places []store.Place
	for _, c := range changes {
		if c.Kind == store.ChangeItem {
			places = append(places, store.Place{Folder: r.folder, Space: store.Normal, N: uint64(c.UID)})
		}
	}
	states, err := v.StatesAt(ctx, places)
	if err != nil {
		return nil, false, err
	}
	for _, c := range changes {
		var s *store.State
		if c.Kind == store.ChangeItem {
			s, states = states[0], states[1:]
		}
		if cmd, ok := r.command(&c, s, limit); ok {
			cmds = append(cmds, cmd)
		}
		r.st.seq = c.Seq
	}
	if !more {
		f, err := v.Folder(ctx, r.folder)
		if err != nil {
			return nil, false, err
		}
		r.st.seq = max(r.st.seq, f.Counts.Seq)
	}
	return cmds, more, nil
}

// command is what an entry of the log means for the device; s is the item it
// is about, nil if that is gone.
func (r *Round) command(c *store.Change, s *store.State, limit uint64) (Command, bool) {
	has := r.st.have[c.OID]
	switch {
	case s == nil:
		delete(r.st.have, c.OID)
		return Command{Delete, c.OID, nil}, has
	case mapi.FileTime(s.Time) < limit:
		delete(r.st.have, c.OID)
		return Command{SoftDelete, c.OID, nil}, has
	case r.own[c.OID] == s.Seq:
		return Command{}, false
	case has:
		return Command{Change, c.OID, s}, true
	}
	r.st.have[c.OID] = true
	return Command{Add, c.OID, s}, true
}

// Commit keeps the state that the round leads to and returns its key, which the
// response carries, once that is durable.
func (r *Round) Commit(ctx context.Context) (uint32, error) {
	err := r.m.PutDeviceState(ctx, r.device, r.collection, store.DeviceState{Key: r.key + 1, State: r.st.encode()})
	return r.key + 1, err
}
