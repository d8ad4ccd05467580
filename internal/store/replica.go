package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// Replicas lists the replicas the mailbox knows, its own first.
func (v *View) Replicas(ctx context.Context) ([]Replica, error) {
	return layout.ReadReplicas(ctx, v.snap, v.m.num)
}

// ReplicaID returns the short number of a replica; one that is not known gets
// one (RopGetReplicaIdFromGuid, MS-OXCFXICS 2.2.3.2.4.7 and 3.2.5.9).
func (m *Mailbox) ReplicaID(ctx context.Context, g model.GUID) (id ReplicaID, err error) {
	if m.caller != nil && m.caller.SID == nil {
		return 0, model.E("store.replica", model.KindPermission, "mailbox", nil)
	}
	err = m.update(ctx, "store.replica", func(t *txn) error {
		known, err := layout.ReadReplicas(ctx, m.db.kv, m.num)
		if err != nil {
			return err
		}
		for _, r := range known {
			if r.GUID == g {
				id = r.ID
				return nil
			}
			id = max(id, r.ID)
		}
		if id++; id == 0 || len(known) >= maxReplicas {
			return model.E("store.replica", model.KindQuota, "replicas", nil)
		}
		t.b.Set(m.num.Replica(id), append([]byte{layout.ReplicaVersion}, g[:]...))
		return nil
	})
	return id, err
}

const maxReplicas = 32000

// maxReserved is how many ids a client may reserve at once.
const maxReserved = 1 << 20

// ReserveIDs gives a client n ids for items it will upload: the first of them.
// They are durable as taken before it returns (RopGetLocalReplicaIds,
// MS-OXCFXICS 3.2.5.10).
func (m *Mailbox) ReserveIDs(ctx context.Context, n uint32) (first MID, err error) {
	if n == 0 || n > maxReserved {
		return 0, model.E("store.reserve", model.KindInvalid, "number of ids", nil)
	}
	if err := m.mayAll("store.reserve"); err != nil {
		return 0, err
	}
	err = m.update(ctx, "store.reserve", func(t *txn) error {
		first = MID(t.counters.ID + 1)
		t.counters.ID += uint64(n)
		t.b.Set(m.num.ReservedMID(uint64(first)), binary.AppendUvarint([]byte{1}, uint64(n)))
		return nil
	})
	return first, err
}

// reserved refuses a MID that no client was given, or that is in use.
func (t *txn) reserved(id MID) error {
	m := t.m.num
	r := kv.Range{Lower: m.ReservedMID(0), Upper: m.ReservedMID(uint64(id) + 1), Reverse: true, Limit: 1}
	it := t.m.db.kv.Scan(t.ctx, r)
	ok := false
	for it.Next() {
		d := layout.NewReader(it.Value())
		if d.Byte() == 1 {
			ok = uint64(id) < layout.Get48(it.Key()[len(it.Key())-6:])+d.Uvarint()
		}
	}
	if err := it.Close(); err != nil {
		return wrap("store.reserve", "mailbox", err)
	}
	if !ok {
		return model.E("store.append", model.KindInvalid, "id that was not reserved", nil)
	}
	_, err := t.m.db.kv.Get(t.ctx, m.ID(layout.SubByMID, uint64(id)))
	if err == nil {
		return model.E("store.append", model.KindExists, "id", nil)
	}
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return wrap("store.append", "mailbox", err)
}

// FindMID returns the place of an item by its MID.
func (v *View) FindMID(ctx context.Context, id MID) (Place, error) {
	return v.find(ctx, v.m.num.ID(layout.SubByMID, uint64(id)))
}

// FindSourceKey returns the place of an item that was uploaded with a source
// key of its own.
func (v *View) FindSourceKey(ctx context.Context, key []byte) (Place, error) {
	return v.find(ctx, v.m.num.SourceKey(key))
}

func (v *View) find(ctx context.Context, key []byte) (Place, error) {
	b, err := v.snap.Get(ctx, key)
	if err != nil {
		return Place{}, wrap("store.find", "item", err)
	}
	p, err := layout.DecodePlace(b)
	if err == nil {
		err = v.m.mayRead("store.find", p.Folder, p.Space)
	}
	return p, err
}

// PCL returns the predecessor change list of an item of this mailbox.
func (m *Mailbox) PCL(s *State) (mapi.PCL, error) {
	p, err := mapi.ParsePCL(s.Foreign.PCL)
	if err != nil {
		return nil, err
	}
	if s.CN.Replica == OwnReplica {
		p = p.With(mapi.CounterXID(m.Header().ReplGUID, s.CN.Counter))
	}
	return p, nil
}

// NewIncarnation gives the mailbox a new identity space after its durable
// history has shrunk: a REPLGUID for what it numbers from now on, UIDVALIDITYs
// that no client has seen, and an incarnation that makes every older token
// void. Nothing that clients remember of what is lost can be taken for
// something new. The former GUID stays known, so that ids kept elsewhere lead
// to their objects.
//
// UIDVALIDITYs change first, in chunks; the rest is one batch, and it can be
// repeated if it does not come to that. Nobody should use the mailbox meanwhile.
func (m *Mailbox) NewIncarnation(ctx context.Context) error {
	if err := m.mayAll("store.incarnation"); err != nil {
		return err
	}
	m.mu.Lock()
	rest := sortedFolders(m.folders)
	m.mu.Unlock()
	for len(rest) > 0 {
		if err := m.update(ctx, "store.incarnation", func(t *txn) (err error) {
			rest, err = t.newValidities(rest)
			return err
		}); err != nil {
			return err
		}
	}
	return m.update(ctx, "store.incarnation", func(t *txn) error {
		known, err := layout.ReadReplicas(ctx, m.db.kv, m.num)
		if err != nil {
			return err
		}
		last := slices.MaxFunc(known, func(a, b Replica) int { return int(a.ID) - int(b.ID) })
		if last.ID == ^ReplicaID(0) {
			return model.E("store.incarnation", model.KindQuota, "replicas", nil)
		}
		next := m.header
		former := append([]byte{layout.ReplicaFormer}, next.ReplGUID[:]...)
		t.b.Set(m.num.Replica(last.ID+1), binary.AppendUvarint(former, max(t.counters.ID, t.counters.Seq)))
		next.ReplGUID = model.NewGUID()
		// Random, not counted: of two restores of one backup each is another.
		for old := next.Incarnation; next.Incarnation == old || next.Incarnation == 0; {
			g := model.NewGUID()
			next.Incarnation = binary.BigEndian.Uint32(g[:4])
		}
		t.b.Set(m.num.Replica(OwnReplica), append([]byte{layout.ReplicaVersion}, next.ReplGUID[:]...))
		t.b.Set(m.num.Key(layout.SubHeader), next.Encode())
		t.header = &next
		return nil
	})
}

// newValidities gives folders UIDVALIDITYs that were never used, as many as the
// batch holds, and returns the others.
func (t *txn) newValidities(ids []FolderID) ([]FolderID, error) {
	t.counters.Validity = max(t.counters.Validity, uint32(t.now.Unix()))
	for i, id := range ids {
		if t.full() || i == chunkItems {
			return ids[i:], nil
		}
		if t.m.folders[id] == nil {
			continue // gone meanwhile
		}
		f, err := t.edit(id)
		if err != nil {
			return nil, err
		}
		t.counters.Validity++
		f.UIDValidity = t.counters.Validity
		t.putFolder(f)
	}
	return nil, nil
}

func sortedFolders(fs map[FolderID]*Folder) []FolderID {
	ids := make([]FolderID, 0, len(fs))
	for id := range fs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Horizon cuts the logs: tombstones older than keep go, as far as time marks
// tell. It notes the time, so that a later call knows. It works in chunks and
// can be repeated; readers below the horizon are told that history is gone.
func (m *Mailbox) Horizon(ctx context.Context, keep time.Duration) (dropped int, err error) {
	if err := m.mayAll("store.horizon"); err != nil {
		return 0, err
	}
	var cut Seq
	err = m.update(ctx, "store.horizon", func(t *txn) (err error) {
		cut, err = t.mark(keep)
		return err
	})
	if err != nil || cut == 0 {
		return 0, err
	}
	if dropped, err = m.dropTombstones(ctx, m.num.Key(layout.SubLog), m.num.LogAt(cut+1)); err != nil {
		return dropped, err
	}
	m.mu.Lock()
	ids := sortedFolders(m.folders)
	m.mu.Unlock()
	for _, f := range ids {
		n, err := m.dropTombstones(ctx, m.num.ID(layout.SubFolderLog, uint64(f)), m.num.FolderLogAt(f, cut+1))
		if dropped += n; err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// marksKept is about how many marks there are: the horizon moves in steps of
// so many parts of the time that history is kept.
const marksKept = 30

// lastMark returns the time of the newest mark.
func (t *txn) lastMark() (last time.Time, err error) {
	prefix := append(t.m.num.ID(layout.SubHorizon, 0), 1)
	it := t.m.db.kv.Scan(t.ctx, kv.Range{Lower: prefix, Upper: layout.PrefixEnd(prefix), Reverse: true, Limit: 1})
	for it.Next() {
		if k := it.Key(); len(k) == len(prefix)+8 {
			last = mapi.FromFileTime(binary.BigEndian.Uint64(k[len(prefix):]))
		}
	}
	return last, wrap("store.horizon", "mailbox", it.Close())
}

// mark notes the time and raises the horizons to the newest mark that is older
// than keep. It returns the horizon, 0 if there is no such mark.
func (t *txn) mark(keep time.Duration) (cut Seq, err error) {
	m := t.m.num
	prefix := append(m.ID(layout.SubHorizon, 0), 1)
	it := t.m.db.kv.Scan(t.ctx, kv.Range{Lower: prefix, Upper: m.Mark(t.now.Add(-keep))})
	for it.Next() {
		if v := it.Value(); len(v) == 9 {
			cut = max(cut, Seq(binary.BigEndian.Uint64(v[1:])))
			t.b.Delete(slices.Clone(it.Key()))
		}
	}
	if err := it.Close(); err != nil {
		return 0, wrap("store.horizon", "mailbox", err)
	}
	last, err := t.lastMark()
	if err != nil {
		return 0, err
	}
	if t.now.Sub(last) >= keep/marksKept {
		t.b.Set(m.Mark(t.now), binary.BigEndian.AppendUint64([]byte{1}, t.counters.Seq))
	}
	vals, err := t.m.db.kv.GetMany(t.ctx, [][]byte{m.ID(layout.SubHorizon, 0)})
	if err != nil {
		return 0, wrap("store.horizon", "mailbox", err)
	}
	if v := vals[0]; len(v) == 9 {
		// After a clock was set back a mark may be older than it seems: what was
		// cut stays cut.
		if now := Seq(binary.BigEndian.Uint64(v[1:])); cut != 0 && cut < now {
			cut = now
		}
	}
	if cut != 0 {
		v := binary.BigEndian.AppendUint64([]byte{1}, uint64(cut))
		t.b.Set(m.ID(layout.SubHorizon, 0), v)
		for id := range t.m.folders {
			t.b.Set(m.ID(layout.SubHorizon, uint64(id)), v)
		}
	}
	return cut, nil
}

// dropTombstones removes what a log says of things gone, up to a key. The
// horizon is durable before, and tombstones never change, so no lock is needed.
func (m *Mailbox) dropTombstones(ctx context.Context, from, to []byte) (dropped int, err error) {
	for from != nil {
		if err := ctx.Err(); err != nil {
			return dropped, wrap("store.horizon", "mailbox", err)
		}
		b := m.db.kv.NewBatch()
		b.Reclaim()
		looked := 0
		it := m.db.kv.Scan(ctx, kv.Range{Lower: from, Upper: to, Limit: maxLooked})
		from = nil
		for it.Next() {
			looked++
			if v := it.Value(); len(v) > 0 && (ChangeKind(v[0]) == ChangeGone || ChangeKind(v[0]) == ChangeNoFolder) {
				b.Delete(slices.Clone(it.Key()))
			}
			if looked == maxLooked {
				from = append(slices.Clone(it.Key()), 0)
			}
		}
		if err := it.Close(); err != nil {
			b.Close()
			return dropped, wrap("store.horizon", "mailbox", err)
		}
		n := b.Count()
		if n == 0 {
			b.Close()
			continue
		}
		if err := m.db.commit(ctx, b); err != nil {
			return dropped, err
		}
		dropped += n
	}
	return dropped, nil
}
