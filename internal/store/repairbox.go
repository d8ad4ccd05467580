package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
)

// repairedBox is a mailbox while it is put in order.
type repairedBox struct {
	m         number
	name      string
	counters  counters
	folders   map[FolderID]*Folder
	items     map[RowID]*State
	summaries map[Place][]byte
	leaves    map[RowID]bool // rows that something hangs on and that were used
	streams   map[RowID]bool // rows with a stream
	byPlace   map[Place]*Change
	recovered FolderID
	before    map[FolderID]Counts
	made      map[FolderID]bool // folders that the repair made
	named     map[FolderID]int  // items that were lost, and told by name
}

func (x *repairedBox) nextSeq() Seq {
	x.counters.seq++
	return Seq(x.counters.seq)
}

func (x *repairedBox) nextID() uint64 {
	x.counters.id++
	return x.counters.id
}

// mailbox makes a damaged mailbox whole. Its rows are gathered in memory but
// for what hangs on items.
func (r *repair) mailbox(m number) error {
	x := &repairedBox{m: m, folders: map[FolderID]*Folder{}, items: map[RowID]*State{}, summaries: map[Place][]byte{},
		leaves: map[RowID]bool{}, streams: map[RowID]bool{}, byPlace: map[Place]*Change{}, before: map[FolderID]Counts{}, made: map[FolderID]bool{}, named: map[FolderID]int{}}
	vals, err := r.kv.GetMany(r.ctx, [][]byte{m.key(subHeader), m.key(subCounters)})
	if err != nil {
		return err
	}
	var h Header
	if err := h.decode(vals[0]); err != nil {
		return err
	}
	if err := x.counters.decode(vals[1]); err != nil {
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
		for _, sub := range []byte{subNamedProp, subPropByName} {
			if err := r.names(x, sub); err != nil {
				return err
			}
		}
		for _, sub := range []byte{subFolder, subCounts, subFolderName, subState, subSummary, subByOID, subByMID, subBySourceKey, subByMessageID,
			subConversation, subByTime, subLog, subFolderLog, subHorizon, subFrozen, subDerived} {
			r.b.DeleteRange(m.key(sub), prefixEnd(m.key(sub)))
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
	return r.scan(m.key(0)[:5], func(k, v []byte) {
		if len(k) < 12 {
			return
		}
		switch k[5] {
		case subFolder:
			f, err := decodeFolder(FolderID(get48(k[6:])), v)
			if err == nil && len(k) == 12 {
				x.folders[f.ID] = f
			} else {
				r.Losses = append(r.Losses, Loss{Mailbox: x.name, What: "the definition of a folder is lost"})
			}
		case subCounts:
			if f := x.folders[FolderID(get48(k[6:]))]; f != nil {
				if f.Counts.decode(v) == nil { // made again if it is damaged
					x.before[f.ID] = f.Counts
				}
			}
		case subState:
			p, ok := parsePlace(k)
			s := &State{}
			if !ok || s.decode(p, v) != nil || s.Row == 0 {
				return // its summary tells of it
			}
			if o := x.items[s.Row]; o == nil || o.Seq < s.Seq {
				x.items[s.Row] = s
			}
		case subSummary:
			if p, ok := parsePlace(k); ok {
				x.summaries[p] = v
			}
		case subStream:
			x.streams[RowID(get48(k[6:]))] = true
		case subFolderLog:
			if c, err := decodeChange(0, v); err == nil && c.Kind == ChangeItem && c.UID != 0 {
				x.byPlace[Place{c.Folder, Normal, uint64(c.UID)}] = &c
			}
		}
	})
}

// hierarchy makes folders that every mailbox has, and those items lost, and puts
// folders without a parent below the top.
func (r *repair) hierarchy(x *repairedBox) {
	add := func(f Folder) {
		x.counters.validity++
		f.UIDValidity, f.Created = x.counters.validity, r.opt.Clock()
		f.Counts.NextUID = 1
		x.folders[f.ID], x.made[f.ID] = &f, true
	}
	for _, f := range defaultFolders() {
		if x.folders[f.ID] == nil {
			r.Losses = append(r.Losses, Loss{Mailbox: x.name, Folder: f.Name, What: "the folder's definition is lost; it was made again"})
			f.Subscribed = !f.Hidden
			add(f)
		}
	}
	for _, f := range x.folders {
		depth := 0
		for p := f; p.Parent != 0 && depth <= maxDepth; depth++ {
			if p = x.folders[p.Parent]; p == nil {
				break
			}
			if p.ID == FolderRoot {
				depth = -2
				break
			}
		}
		if f.ID != FolderRoot && depth >= 0 {
			r.Notes = append(r.Notes, x.name+": folder \""+f.Name+"\" had lost its place")
			f.Parent = FolderSubtree
		}
	}
	type slot struct {
		parent FolderID
		name   string
	}
	taken := map[slot]bool{}
	for _, id := range slices.Sorted(maps.Keys(x.folders)) {
		f := x.folders[id]
		for taken[slot{f.Parent, FoldName(f.Name)}] {
			f.Name += " (2)"
		}
		taken[slot{f.Parent, FoldName(f.Name)}] = true
		if f.Counts.NextUID == 0 {
			f.Counts.NextUID = 1
		}
		if f.Name == RecoveredItems && f.Parent == FolderSubtree {
			x.recovered = id
		}
	}
}

// rescue returns the folder for what has lost its own.
func (r *repair) rescue(x *repairedBox) FolderID {
	if x.recovered == 0 {
		x.counters.validity++
		f := &Folder{ID: FolderID(x.nextID()), Parent: FolderSubtree, Name: RecoveredItems, Class: "IPF.Note", UIDValidity: x.counters.validity,
			Created: r.opt.Clock(), Subscribed: true, Counts: Counts{NextUID: 1}}
		x.folders[f.ID], x.made[f.ID] = f, true
		x.recovered = f.ID
	}
	return x.recovered
}

// names keeps the named properties that have a name, and both directions.
func (r *repair) names(x *repairedBox, sub byte) error {
	p := x.m.key(sub)
	if sub == subPropByName {
		r.b.DeleteRange(p, prefixEnd(p))
		return r.scan(x.m.key(subNamedProp), func(k, v []byte) {
			if n, err := decodeName(v); err == nil && len(k) == len(p)+2 {
				r.b.Set(x.m.propByName(foldName(n)), append([]byte{1}, k[len(p):]...))
			}
		})
	}
	return r.scan(p, func(k, v []byte) {
		if _, err := decodeName(v); err != nil || len(k) != len(p)+2 {
			r.b.Delete(k)
			r.Losses = append(r.Losses, Loss{Mailbox: x.name, What: "the name of a property is lost"})
		}
	})
}

// rebuild writes items, folders, indexes, logs and references.
func (r *repair) rebuild(x *repairedBox) error {
	for _, s := range x.items {
		delete(x.byPlace, s.Place)
		if f := x.folders[s.Place.Folder]; f != nil && s.Place.Space == Normal {
			f.Counts.NextUID = max(f.Counts.NextUID, UID(s.Place.N)+1)
		}
	}
	summary := map[RowID][]byte{}
	for _, s := range x.items {
		summary[s.Row] = x.summaries[s.Place]
		delete(x.summaries, s.Place)
	}
	for p, v := range x.summaries {
		// The log tells which item it was; without that its row is not known.
		if c := x.byPlace[p]; c != nil && x.items[c.Row] == nil {
			x.items[c.Row] = &State{Place: p, Row: c.Row, OID: c.OID, MID: c.MID, Created: c.Created, Seq: x.nextSeq(), Time: r.opt.Clock()}
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
		s := &State{Place: Place{r.rescue(x), Normal, 0}, Row: row, Time: r.opt.Clock()}
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
	if _, enc, err := splitSummary(summary); err == nil {
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
func (r *repair) item(x *repairedBox, s *State, summary []byte) error {
	m := x.m
	l, lost, err := r.leaf(x, s.Row, 0)
	if err != nil {
		return err
	}
	if s.Seq == 0 {
		s.Seq = x.nextSeq()
		s.CN, s.ReadCN, s.Created = CN{OwnReplica, uint64(s.Seq)}, CN{OwnReplica, uint64(s.Seq)}, s.Seq
	}
	if s.OID == 0 {
		s.OID, s.MID = OID(x.nextID()), MID(x.nextID())
	}
	home := x.folders[s.Place.Folder]
	if home == nil || s.Place.N == 0 {
		f := x.folders[r.rescue(x)]
		if s.Place.N != 0 {
			r.lose(x, 0, summary, s.Time, "its folder is lost; it is in \""+RecoveredItems+"\"")
		}
		s.Place = Place{f.ID, Normal, uint64(f.Counts.NextUID)}
		f.Counts.NextUID++
		s.Deleted, s.Origin = time.Time{}, 0
		r.Recovered++
	}
	it := &fullItem{state: s, summary: summary, leaf: l}
	if it.interpret() != nil {
		sum := Summary{}
		if b, err := decodeBag(l.bag); err == nil {
			sum.Props = b.Props
		}
		enc, ok := sum.encode(nil)
		if !ok || len(enc) > kv.MaxValue {
			enc, _ = (&Summary{}).encode(nil)
		}
		it.summary = enc
		if err := it.interpret(); err != nil {
			return err
		}
		lost = append(lost, "its subject, sender and other headers are lost")
	}
	for _, what := range lost {
		r.lose(x, s.Place.Folder, it.summary, s.Time, what)
	}
	s.Flags &^= HasAttachments
	if len(l.attach) > 0 {
		s.Flags |= HasAttachments
	}
	r.Items++
	putRows(r.b, m, s, it.summary)
	putIndexes(r.b, m, s, it.msgID, it.conv)
	if s.Place.Space == Deleted {
		logDeleted(r.b, m, s, it.class)
	} else {
		logItem(r.b, m, nil, s, 0)
	}
	f := x.folders[s.Place.Folder]
	x.sum(f).take(s)
	return nil
}

// sum returns the counts of a folder as they are added up; the first call
// begins them.
func (x *repairedBox) sum(f *Folder) *Counts {
	if f.Seq != 0 { // not begun: definitions get a new seq at the end
		f.Seq = 0
		f.Counts = Counts{NextUID: f.Counts.NextUID}
	}
	return &f.Counts
}

// leaf writes what hangs on a row again, without what can not be read, and says
// what that was.
func (r *repair) leaf(x *repairedBox, at RowID, depth int) (l *leaf, lost []string, err error) {
	m := x.m
	x.leaves[at] = true
	vals, err := r.kv.GetMany(r.ctx, m.leafKeys(at))
	if err != nil {
		return nil, nil, err
	}
	l = &leaf{}
	bag, e := decodeBag(vals[0])
	if e != nil {
		lost = append(lost, "its properties are lost")
	}
	streams := slices.DeleteFunc(slices.Clone(bag.Streams), func(s StreamRef) bool { return !r.have[s.Content] })
	if len(streams) < len(bag.Streams) {
		lost = append(lost, "a long property is lost")
	}
	if l.bag, err = encodeBag(bag.Props, streams); err != nil {
		return nil, nil, err
	}
	var st Stream
	if st.decode(vals[2]) != nil {
		st = Stream{Truth: TruthMAPI}
		lost = append(lost, "where its content is, is lost")
	}
	if st.Content != 0 && !r.have[st.Content] {
		lost = append(lost, "its content is lost")
		st = Stream{Truth: TruthMAPI}
	}
	if st.Evidence != 0 && !r.have[st.Evidence] {
		st.Evidence = 0
	}
	l.stream = st.encode(nil)
	if l.recips, err = moreRecipients(r.ctx, r.kv, m, at, vals[1]); err != nil {
		return nil, nil, err
	}
	if _, e := decodeRecipients(l.recips); e != nil {
		l.recips = nil
		lost = append(lost, "its recipients are lost")
	}
	for _, sub := range []byte{subBag, subRecipients, subStream, subAttachment} {
		r.b.DeleteRange(m.id(sub, uint64(at)), prefixEnd(m.id(sub, uint64(at))))
	}
	p := m.id(subAttachment, uint64(at))
	err = r.scan(p, func(k, v []byte) {
		a, e := decodeAttachment(k, len(p), v)
		switch {
		case e != nil:
			lost = append(lost, "an attachment is lost")
			return
		case a.content != 0 && !r.have[a.content]:
			a.content, a.size = 0, 0
			lost = append(lost, "the content of an attachment is lost")
		}
		l.attach = append(l.attach, a)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, a := range l.attach {
		if a.child == 0 || x.leaves[a.child] || depth >= maxEmbedded {
			continue
		}
		_, more, err := r.leaf(x, a.child, depth+1)
		if err != nil {
			return nil, nil, err
		}
		lost = append(lost, more...)
	}
	if err := l.refer(); err != nil {
		return nil, nil, err
	}
	putLeaf(r.b, m, at, l, x.nextID)
	return l, lost, nil
}

// orphans drops rows that hang on nothing.
func (r *repair) orphans(x *repairedBox) error {
	for _, sub := range []byte{subBag, subRecipients, subStream, subAttachment} {
		err := r.scan(x.m.key(sub), func(k, _ []byte) {
			id := RowID(0)
			if len(k) >= 12 {
				id = RowID(get48(k[6:]))
			}
			if !x.leaves[id] && (sub != subBag || id != 0 && x.folders[FolderID(id)] == nil) {
				r.b.Delete(k)
			}
		})
		if err != nil {
			return err
		}
	}
	for _, sub := range []byte{subPermissions, subReceive, subSearch, subRule} {
		err := r.scan(x.m.key(sub), func(k, v []byte) {
			at := k[6:]
			bad := false
			if sub == subReceive {
				if bad = len(v) != 7; !bad {
					at = v[1:]
				}
			} else if _, err := decodeACL(v); sub == subPermissions {
				bad = err != nil
			}
			if bad = bad || len(at) < 6; !bad {
				id := FolderID(get48(at))
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
		putFolder(r.b, m, f, x.nextSeq())
		f.Counts.Seq = f.Seq
		r.b.Set(m.id(subCounts, uint64(id)), f.Counts.encode())
		c := Change{Folder: id}
		r.b.Set(m.logKey(f.Seq, ChangeCounts), append([]byte{byte(ChangeCounts)}, c.encode()...))
		r.b.Set(m.childName(f.Parent, f.Name), folderRef(id))
	}
	c := x.counters
	r.b.Set(m.key(subCounters), c.encode(c.seq, c.id))
	for id := range x.folders {
		r.b.Set(m.id(subHorizon, uint64(id)), horizonRow(c.seq))
	}
	r.b.Set(m.id(subHorizon, 0), horizonRow(c.seq))
	return nil
}

func horizonRow(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{1}, seq) }
