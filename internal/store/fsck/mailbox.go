package fsck

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/layout"
)

// repairedBox is a mailbox while it is put in order.
type repairedBox struct {
	m         layout.Number
	name      string
	counters  layout.Counters
	folders   map[layout.FolderID]*layout.Folder
	items     map[layout.RowID]*layout.State
	summaries map[layout.Place][]byte
	leaves    map[layout.RowID]bool // rows that something hangs on and that were used
	streams   map[layout.RowID]bool // rows with a stream
	byPlace   map[layout.Place]*layout.Change
	recovered layout.FolderID
	before    map[layout.FolderID]layout.Counts
	made      map[layout.FolderID]bool // folders that the repair made
	named     map[layout.FolderID]int  // items that were lost, and told by name
}

func (x *repairedBox) nextSeq() layout.Seq {
	x.counters.Seq++
	return layout.Seq(x.counters.Seq)
}

func (x *repairedBox) nextID() uint64 {
	x.counters.ID++
	return x.counters.ID
}

// mailbox makes a damaged mailbox whole. Its rows are gathered in memory but
// for what hangs on items.
func (r *repair) mailbox(m layout.Number) error {
	x := &repairedBox{m: m, folders: map[layout.FolderID]*layout.Folder{}, items: map[layout.RowID]*layout.State{}, summaries: map[layout.Place][]byte{},
		leaves: map[layout.RowID]bool{}, streams: map[layout.RowID]bool{}, byPlace: map[layout.Place]*layout.Change{}, before: map[layout.FolderID]layout.Counts{}, made: map[layout.FolderID]bool{}, named: map[layout.FolderID]int{}}
	vals, err := r.kv.GetMany(r.ctx, [][]byte{m.Key(layout.SubHeader), m.Key(layout.SubCounters)})
	if err != nil {
		return err
	}
	var h layout.Header
	if err := h.Decode(vals[0]); err != nil {
		return err
	}
	if err := x.counters.Decode(vals[1]); err != nil {
		return err
	}
	x.name = h.DisplayName
	if err := r.gather(x); err != nil {
		return err
	}
	r.hierarchy(x)
	return r.write(func(kv.Batch) error {
		if err := r.dropRefs(m); err != nil {
			return err
		}
		for _, sub := range []byte{layout.SubNamedProp, layout.SubPropByName} {
			if err := r.names(x, sub); err != nil {
				return err
			}
		}
		for _, sub := range []byte{layout.SubFolder, layout.SubCounts, layout.SubFolderName, layout.SubState, layout.SubSummary, layout.SubByOID, layout.SubByMID, layout.SubBySourceKey, layout.SubByMessageID,
			layout.SubConversation, layout.SubByTime, layout.SubLog, layout.SubFolderLog, layout.SubHorizon, layout.SubFrozen, layout.SubDerived} {
			r.b.DeleteRange(m.Key(sub), layout.PrefixEnd(m.Key(sub)))
		}
		if err := r.flush(0); err != nil {
			return err
		}
		return r.rebuild(x)
	})
}

// gather reads what there is of folders, items and logs.
func (r *repair) gather(x *repairedBox) error {
	m := x.m
	return r.scan(m.Key(0)[:5], func(k, v []byte) {
		if len(k) < 12 {
			return
		}
		switch k[5] {
		case layout.SubFolder:
			f, err := layout.DecodeFolder(layout.FolderID(layout.Get48(k[6:])), v)
			if err == nil && len(k) == 12 {
				x.folders[f.ID] = f
			} else {
				r.Losses = append(r.Losses, Loss{Mailbox: x.name, What: "the definition of a folder is lost"})
			}
		case layout.SubCounts:
			if f := x.folders[layout.FolderID(layout.Get48(k[6:]))]; f != nil {
				if f.Counts.Decode(v) == nil { // made again if it is damaged
					x.before[f.ID] = f.Counts
				}
			}
		case layout.SubState:
			p, ok := layout.ParsePlace(k)
			s := &layout.State{}
			if !ok || s.Decode(p, v) != nil || s.Row == 0 {
				return // its summary tells of it
			}
			if o := x.items[s.Row]; o == nil || o.Seq < s.Seq {
				x.items[s.Row] = s
			}
		case layout.SubSummary:
			if p, ok := layout.ParsePlace(k); ok {
				x.summaries[p] = v
			}
		case layout.SubStream:
			x.streams[layout.RowID(layout.Get48(k[6:]))] = true
		case layout.SubFolderLog:
			if c, err := layout.DecodeChange(0, v); err == nil && c.Kind == layout.ChangeItem && c.UID != 0 {
				x.byPlace[layout.Place{Folder: c.Folder, Space: layout.Normal, N: uint64(c.UID)}] = &c
			}
		}
	})
}

// hierarchy makes folders that every mailbox has, and those items lost, and puts
// folders without a parent below the top.
func (r *repair) hierarchy(x *repairedBox) {
	add := func(f layout.Folder) {
		x.counters.Validity++
		f.UIDValidity, f.Created = x.counters.Validity, r.opt.Clock()
		f.Counts.NextUID = 1
		x.folders[f.ID], x.made[f.ID] = &f, true
	}
	for _, f := range layout.DefaultFolders() {
		if x.folders[f.ID] == nil {
			r.Losses = append(r.Losses, Loss{Mailbox: x.name, Folder: f.Name, What: "the folder's definition is lost; it was made again"})
			f.Subscribed = !f.Hidden
			add(f)
		}
	}
	for _, f := range x.folders {
		depth := 0
		for p := f; p.Parent != 0 && depth <= layout.MaxDepth; depth++ {
			if p = x.folders[p.Parent]; p == nil {
				break
			}
			if p.ID == layout.FolderRoot {
				depth = -2
				break
			}
		}
		if f.ID != layout.FolderRoot && depth >= 0 {
			r.Notes = append(r.Notes, x.name+": folder \""+f.Name+"\" had lost its place")
			f.Parent = layout.FolderSubtree
		}
	}
	type slot struct {
		parent layout.FolderID
		name   string
	}
	taken := map[slot]bool{}
	for _, id := range slices.Sorted(maps.Keys(x.folders)) {
		f := x.folders[id]
		for taken[slot{f.Parent, layout.FoldName(f.Name)}] {
			f.Name += " (2)"
		}
		taken[slot{f.Parent, layout.FoldName(f.Name)}] = true
		if f.Counts.NextUID == 0 {
			f.Counts.NextUID = 1
		}
		if f.Name == RecoveredItems && f.Parent == layout.FolderSubtree {
			x.recovered = id
		}
	}
}

// rescue returns the folder for what has lost its own.
func (r *repair) rescue(x *repairedBox) layout.FolderID {
	if x.recovered == 0 {
		x.counters.Validity++
		f := &layout.Folder{ID: layout.FolderID(x.nextID()), Parent: layout.FolderSubtree, Name: RecoveredItems, Class: "IPF.Note", UIDValidity: x.counters.Validity,
			Created: r.opt.Clock(), Subscribed: true, Counts: layout.Counts{NextUID: 1}}
		x.folders[f.ID], x.made[f.ID] = f, true
		x.recovered = f.ID
	}
	return x.recovered
}

// names keeps the named properties that have a name, and both directions.
func (r *repair) names(x *repairedBox, sub byte) error {
	p := x.m.Key(sub)
	if sub == layout.SubPropByName {
		r.b.DeleteRange(p, layout.PrefixEnd(p))
		return r.scan(x.m.Key(layout.SubNamedProp), func(k, v []byte) {
			if n, err := layout.DecodeName(v); err == nil && len(k) == len(p)+2 {
				r.b.Set(x.m.PropByName(layout.FoldProperty(n)), append([]byte{1}, k[len(p):]...))
			}
		})
	}
	return r.scan(p, func(k, v []byte) {
		if _, err := layout.DecodeName(v); err != nil || len(k) != len(p)+2 {
			r.b.Delete(k)
			r.Losses = append(r.Losses, Loss{Mailbox: x.name, What: "the name of a property is lost"})
		}
	})
}

// rebuild writes items, folders, indexes, logs and references.
func (r *repair) rebuild(x *repairedBox) error {
	for _, s := range x.items {
		delete(x.byPlace, s.Place)
		if f := x.folders[s.Place.Folder]; f != nil && s.Place.Space == layout.Normal {
			f.Counts.NextUID = max(f.Counts.NextUID, layout.UID(s.Place.N)+1)
		}
	}
	summary := map[layout.RowID][]byte{}
	for _, s := range x.items {
		summary[s.Row] = x.summaries[s.Place]
		delete(x.summaries, s.Place)
	}
	for p, v := range x.summaries {
		// The log tells which item it was; without that its row is not known.
		if c := x.byPlace[p]; c != nil && x.items[c.Row] == nil {
			x.items[c.Row] = &layout.State{Place: p, Row: c.Row, OID: c.OID, MID: c.MID, Created: c.Created, Seq: x.nextSeq(), Time: r.opt.Clock()}
			summary[c.Row] = v
			r.lose(x, p.Folder, v, timeOf(v), "its flags are lost")
		} else {
			x.named[p.Folder]++
			r.lose(x, p.Folder, v, timeOf(v), "its state is lost; what else is found of it is in \""+RecoveredItems+"\"")
		}
	}
	for _, row := range slices.Sorted(maps.Keys(x.items)) {
		if err := r.item(x, x.items[row], summary[row]); err != nil {
			return err
		}
		if err := r.flush(1 << 20); err != nil {
			return err
		}
	}
	for _, row := range slices.Sorted(maps.Keys(x.streams)) {
		if x.leaves[row] || x.items[row] != nil {
			continue
		}
		s := &layout.State{Place: layout.Place{Folder: r.rescue(x), Space: layout.Normal, N: 0}, Row: row, Time: r.opt.Clock()}
		if err := r.item(x, s, nil); err != nil {
			return err
		}
	}
	if err := r.orphans(x); err != nil {
		return err
	}
	return r.finish(x)
}

func timeOf(summary []byte) time.Time {
	if _, enc, err := layout.SplitSummary(summary); err == nil {
		if p, err := mapi.DecodeProperties(enc); err == nil {
			if v, ok := p.Get(mapi.TagMessageDeliveryTime); ok {
				if t, ok := v.(time.Time); ok {
					return t
				}
			}
		}
	}
	return time.Time{}
}

// item writes an item with what is left of it.
func (r *repair) item(x *repairedBox, s *layout.State, summary []byte) error {
	m := x.m
	l, lost, err := r.leaf(x, s.Row, 0)
	if err != nil {
		return err
	}
	if s.Seq == 0 {
		s.Seq = x.nextSeq()
		s.CN, s.ReadCN, s.Created = layout.CN{Replica: layout.OwnReplica, Counter: uint64(s.Seq)}, layout.CN{Replica: layout.OwnReplica, Counter: uint64(s.Seq)}, s.Seq
	}
	if s.OID == 0 {
		s.OID, s.MID = layout.OID(x.nextID()), layout.MID(x.nextID())
	}
	home := x.folders[s.Place.Folder]
	if home == nil || s.Place.N == 0 {
		f := x.folders[r.rescue(x)]
		if s.Place.N != 0 {
			r.lose(x, 0, summary, s.Time, "its folder is lost; it is in \""+RecoveredItems+"\"")
		}
		s.Place = layout.Place{Folder: f.ID, Space: layout.Normal, N: uint64(f.Counts.NextUID)}
		f.Counts.NextUID++
		s.Deleted, s.Origin = time.Time{}, 0
		r.Recovered++
	}
	it := &layout.FullItem{State: s, Summary: summary, Leaf: l}
	if it.Interpret() != nil {
		sum := layout.Summary{}
		if b, err := layout.DecodeBag(l.Bag); err == nil {
			sum.Props = b.Props
		}
		enc, ok := sum.Encode(nil)
		if !ok || len(enc) > kv.MaxValue {
			enc, _ = (&layout.Summary{}).Encode(nil)
		}
		it.Summary = enc
		if err := it.Interpret(); err != nil {
			return err
		}
		lost = append(lost, "its subject, sender and other headers are lost")
	}
	for _, what := range lost {
		r.lose(x, s.Place.Folder, it.Summary, s.Time, what)
	}
	s.Flags &^= layout.HasAttachments
	if len(l.Attach) > 0 {
		s.Flags |= layout.HasAttachments
	}
	r.Items++
	layout.PutRows(r.b, m, s, it.Summary)
	layout.PutIndexes(r.b, m, s, it.MessageID, it.Conversation)
	if s.Place.Space == layout.Deleted {
		layout.LogDeleted(r.b, m, s, it.Class)
	} else {
		layout.LogItem(r.b, m, nil, s, 0)
	}
	f := x.folders[s.Place.Folder]
	x.sum(f).Take(s)
	return nil
}

// sum returns the counts of a folder as they are added up; the first call
// begins them.
func (x *repairedBox) sum(f *layout.Folder) *layout.Counts {
	if f.Seq != 0 { // not begun: definitions get a new seq at the end
		f.Seq = 0
		f.Counts = layout.Counts{NextUID: f.Counts.NextUID}
	}
	return &f.Counts
}

// leaf writes what hangs on a row again, without what can not be read, and says
// what that was.
func (r *repair) leaf(x *repairedBox, at layout.RowID, depth int) (l *layout.Leaf, lost []string, err error) {
	m := x.m
	x.leaves[at] = true
	vals, err := r.kv.GetMany(r.ctx, m.LeafKeys(at))
	if err != nil {
		return nil, nil, err
	}
	l = &layout.Leaf{}
	bag, e := layout.DecodeBag(vals[0])
	if e != nil {
		lost = append(lost, "its properties are lost")
	}
	streams := slices.DeleteFunc(slices.Clone(bag.Streams), func(s layout.StreamRef) bool { return !r.have[s.Content] })
	if len(streams) < len(bag.Streams) {
		lost = append(lost, "a long property is lost")
	}
	if l.Bag, err = layout.EncodeBag(bag.Props, streams); err != nil {
		return nil, nil, err
	}
	var st layout.Stream
	if st.Decode(vals[2]) != nil {
		st = layout.Stream{Truth: layout.TruthMAPI}
		lost = append(lost, "where its content is, is lost")
	}
	if st.Content != 0 && !r.have[st.Content] {
		lost = append(lost, "its content is lost")
		st = layout.Stream{Truth: layout.TruthMAPI}
	}
	if st.Evidence != 0 && !r.have[st.Evidence] {
		st.Evidence = 0
	}
	l.Stream = st.Encode(nil)
	if l.Recipients, err = layout.MoreRecipients(r.ctx, r.kv, m, at, vals[1]); err != nil {
		return nil, nil, err
	}
	if _, e := layout.DecodeRecipients(l.Recipients); e != nil {
		l.Recipients = nil
		lost = append(lost, "its recipients are lost")
	}
	for _, sub := range []byte{layout.SubBag, layout.SubRecipients, layout.SubStream, layout.SubAttachment} {
		r.b.DeleteRange(m.ID(sub, uint64(at)), layout.PrefixEnd(m.ID(sub, uint64(at))))
	}
	p := m.ID(layout.SubAttachment, uint64(at))
	err = r.scan(p, func(k, v []byte) {
		a, e := layout.DecodeAttachment(k, len(p), v)
		switch {
		case e != nil:
			lost = append(lost, "an attachment is lost")
			return
		case a.Content != 0 && !r.have[a.Content]:
			a.Content, a.Size = 0, 0
			lost = append(lost, "the content of an attachment is lost")
		}
		l.Attach = append(l.Attach, a)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, a := range l.Attach {
		if a.Child == 0 || x.leaves[a.Child] || depth >= layout.MaxEmbedded {
			continue
		}
		_, more, err := r.leaf(x, a.Child, depth+1)
		if err != nil {
			return nil, nil, err
		}
		lost = append(lost, more...)
	}
	if err := l.Refer(); err != nil {
		return nil, nil, err
	}
	layout.PutLeaf(r.b, m, at, l, x.nextID)
	return l, lost, nil
}

// orphans drops rows that hang on nothing.
func (r *repair) orphans(x *repairedBox) error {
	for _, sub := range []byte{layout.SubBag, layout.SubRecipients, layout.SubStream, layout.SubAttachment} {
		err := r.scan(x.m.Key(sub), func(k, _ []byte) {
			id := layout.RowID(0)
			if len(k) >= 12 {
				id = layout.RowID(layout.Get48(k[6:]))
			}
			if !x.leaves[id] && (sub != layout.SubBag || id != 0 && x.folders[layout.FolderID(id)] == nil) {
				r.b.Delete(k)
			}
		})
		if err != nil {
			return err
		}
	}
	for _, sub := range []byte{layout.SubPermissions, layout.SubReceive, layout.SubSearch, layout.SubRule} {
		err := r.scan(x.m.Key(sub), func(k, v []byte) {
			at := k[6:]
			bad := false
			if sub == layout.SubReceive {
				if bad = len(v) != 7; !bad {
					at = v[1:]
				}
			} else if _, err := layout.DecodeACL(v); sub == layout.SubPermissions {
				bad = err != nil
			}
			if bad = bad || len(at) < 6; !bad {
				id := layout.FolderID(layout.Get48(at))
				bad = id != 0 && x.folders[id] == nil
			}
			if bad {
				r.b.Delete(k)
				r.Notes = append(r.Notes, x.name+": permissions, rules or other settings of a folder are lost")
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lostCounts is said of a folder from which items may be missing uncounted.
const lostCounts = "how many items it had is lost: if others were lost whole, they are not counted"

// finish writes folders, counters and the horizon: of what was before there is
// no history.
func (r *repair) finish(x *repairedBox) error {
	m := x.m
	for _, id := range slices.Sorted(maps.Keys(x.folders)) {
		f := x.folders[id]
		k := x.sum(f)
		old, counted := x.before[id]
		if !counted && !x.made[id] {
			r.Notes = append(r.Notes, x.name+": folder \""+f.Name+"\": "+lostCounts)
		}
		if n := int(old.Total) + int(old.Associated) - int(k.Total) - int(k.Associated) - x.named[id]; n > 0 {
			r.Losses = append(r.Losses, Loss{Mailbox: x.name, Folder: f.Name, Items: n, What: fmt.Sprintf("%d items are lost of which nothing is left", n)})
		}
		f.Seq = 0
		layout.PutFolder(r.b, m, f, x.nextSeq())
		f.Counts.Seq = f.Seq
		r.b.Set(m.ID(layout.SubCounts, uint64(id)), f.Counts.Encode())
		c := layout.Change{Folder: id}
		r.b.Set(m.LogKey(f.Seq, layout.ChangeCounts), append([]byte{byte(layout.ChangeCounts)}, c.Encode()...))
		r.b.Set(m.ChildName(f.Parent, f.Name), layout.FolderRef(id))
	}
	c := x.counters
	r.b.Set(m.Key(layout.SubCounters), c.Encode(c.Seq, c.ID))
	for id := range x.folders {
		r.b.Set(m.ID(layout.SubHorizon, uint64(id)), layout.HorizonRow(c.Seq))
	}
	r.b.Set(m.ID(layout.SubHorizon, 0), layout.HorizonRow(c.Seq))
	return nil
}
