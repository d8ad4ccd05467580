package store

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// What tables read (package table): rows as they stand, many at a time.

// InSummary reports whether a property is in the summary row of an item if the
// item has it at all. Whoever makes items keeps to it; tables do not look into
// the bag for these.
func InSummary(t mapi.Tag) bool {
	switch t {
	case mapi.TagImportance, mapi.TagMessageClass, mapi.TagSubject, mapi.TagNormalizedSubject, mapi.TagConversationTopic,
		mapi.TagConversationID, mapi.TagClientSubmitTime, mapi.TagSentRepresentingName, mapi.TagSentRepresentingAddress,
		mapi.TagSenderName, mapi.TagSenderAddress, mapi.TagDisplayTo, mapi.TagDisplayCc, mapi.TagHasAttachments,
		mapi.TagInternetMessageID, mapi.TagPreview:
		return true
	}
	return false
}

// ItemParts says which rows of items are wanted.
type ItemParts uint8

// The parts; they add up.
const (
	WantState ItemParts = 1 << iota
	WantSummary
	WantBag // with WantState, which has the row id
)

// bagRun is how many bags are fetched at a time.
const bagRun = 512

// Items calls fn for the items of a folder from a place on, in its space, by UID
// or row id ascending, until it returns false. The ItemRow is reused.
func (v *View) Items(ctx context.Context, from Place, parts ItemParts, fn func(*ItemRow) bool) error {
	return v.ItemsTo(ctx, from, layout.MaxN, parts, fn)
}

// ItemsTo is Items up to a UID or row id, included.
func (v *View) ItemsTo(ctx context.Context, from Place, to uint64, parts ItemParts, fn func(*ItemRow) bool) error {
	if parts&WantBag != 0 {
		return v.itemsWithBags(ctx, from, to, parts|WantState, fn)
	}
	return v.scanItems(ctx, from, to, parts, fn)
}

// scanItems walks state and summary rows side by side.
func (v *View) scanItems(ctx context.Context, from Place, to uint64, parts ItemParts, fn func(*ItemRow) bool) error {
	if err := v.m.mayRead("store.items", from.Folder, from.Space); err != nil {
		return err
	}
	m := v.m.num
	upto := Place{Folder: from.Folder, Space: from.Space, N: min(to, layout.MaxN)}
	span := func(sub byte) kv.Iterator {
		return v.snap.Scan(ctx, m.Places(sub, from, upto))
	}
	sub := byte(layout.SubState)
	if parts&WantState == 0 {
		sub = layout.SubSummary
	}
	lead := span(sub)
	var beside kv.Iterator
	if parts&WantState != 0 && parts&WantSummary != 0 {
		beside = span(layout.SubSummary)
	}
	err := walkItems(lead, beside, parts, fn)
	if beside != nil {
		if e := beside.Close(); err == nil || e != nil { // it ended early, which is why
			err = wrap("store.items", "folder", e)
		}
	}
	if e := lead.Close(); err == nil {
		err = wrap("store.items", "folder", e)
	}
	return err
}

func walkItems(lead, beside kv.Iterator, parts ItemParts, fn func(*ItemRow) bool) error {
	var it ItemRow
	var s State
	for lead.Next() {
		p, ok := layout.ParsePlace(lead.Key())
		if !ok {
			return layout.Corrupt("item key")
		}
		it.Place = p
		var err error
		if parts&WantState == 0 {
			_, it.Summary, err = layout.SplitSummary(lead.Value())
		} else {
			err = s.Decode(p, lead.Value())
			it.State = &s
		}
		if err == nil && beside != nil {
			it.Summary, err = layout.NextSummary(beside, p)
		}
		if err != nil {
			return err
		}
		if !fn(&it) {
			return nil
		}
	}
	return nil
}

// itemsWithBags gathers items and fetches their bags together.
func (v *View) itemsWithBags(ctx context.Context, from Place, to uint64, parts ItemParts, fn func(*ItemRow) bool) error {
	run := make([]ItemRow, 0, bagRun)
	arena := make([]byte, 0, bagRun*1024)
	var failed error
	more := true
	flush := func() bool {
		if failed = v.fillBags(ctx, run); failed != nil {
			return false
		}
		for i := range run {
			if more = fn(&run[i]); !more {
				return false
			}
		}
		run, arena = run[:0], arena[:0]
		return true
	}
	err := v.scanItems(ctx, from, to, parts, func(it *ItemRow) bool {
		s := *it.State
		at := len(arena)
		arena = append(arena, it.Summary...)
		run = append(run, ItemRow{Place: it.Place, State: &s, Summary: arena[at:len(arena):len(arena)]})
		return len(run) < bagRun || flush()
	})
	if err == nil && failed == nil && more {
		flush()
	}
	if err == nil {
		err = failed
	}
	return err
}

// fillBags reads the bags of items whose states are there.
func (v *View) fillBags(ctx context.Context, items []ItemRow) error {
	keys, nums := make([][]byte, 0, len(items)), make([]uint64, 0, len(items))
	for i := range items {
		if items[i].State != nil {
			keys, nums = append(keys, v.m.num.ID(layout.SubBag, uint64(items[i].State.Row))), append(nums, uint64(items[i].State.Row))
		}
	}
	vals, err := content.GetRun(ctx, v.snap, nums, keys)
	if err != nil {
		return wrap("store.items", "bags", err)
	}
	for i := range items {
		if items[i].State == nil {
			continue
		}
		if b := vals[0]; len(b) > 0 {
			if items[i].Bag, err = layout.BagProps(b); err != nil {
				return err
			}
		}
		vals = vals[1:]
	}
	return nil
}

// ItemsAt returns the items at places, in their order; one that is gone has a
// nil State. At most two round trips.
func (v *View) ItemsAt(ctx context.Context, places []Place, parts ItemParts) ([]ItemRow, error) {
	m := v.m.num
	keys := make([][]byte, 0, 2*len(places))
	for _, p := range places {
		if err := v.m.mayRead("store.items", p.Folder, p.Space); err != nil {
			return nil, err
		}
		keys = append(keys, m.Place(layout.SubState, p))
		if parts&WantSummary != 0 {
			keys = append(keys, m.Place(layout.SubSummary, p))
		}
	}
	vals, err := v.snap.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.items", "items", err)
	}
	items, states := make([]ItemRow, len(places)), make([]State, len(places))
	for i, p := range places {
		items[i].Place = p
		row := vals[0]
		if vals = vals[1:]; row != nil {
			if err := states[i].Decode(p, row); err != nil {
				return nil, err
			}
			items[i].State = &states[i]
		}
		if parts&WantSummary == 0 {
			continue
		}
		row = vals[0]
		if vals = vals[1:]; items[i].State != nil {
			if _, items[i].Summary, err = layout.SplitSummary(row); err != nil {
				return nil, err
			}
		}
	}
	if parts&WantBag != 0 {
		err = v.fillBags(ctx, items)
	}
	return items, err
}

// FindMany is Find for several items at once; there[i] is false where there is
// none, or none that the caller may read.
func (v *View) FindMany(ctx context.Context, os []OID) (places []Place, there []bool, err error) {
	keys := make([][]byte, len(os))
	for i, o := range os {
		keys[i] = v.m.num.ID(layout.SubByOID, uint64(o))
	}
	vals, err := v.snap.GetMany(ctx, keys)
	if err != nil {
		return nil, nil, wrap("store.find", "items", err)
	}
	places, there = make([]Place, len(os)), make([]bool, len(os))
	for i, b := range vals {
		if b == nil {
			continue
		}
		if places[i], err = layout.DecodePlace(b); err != nil {
			return nil, nil, err
		}
		if there[i] = v.m.mayRead("store.find", places[i].Folder, places[i].Space) == nil; !there[i] {
			places[i] = Place{}
		}
	}
	return places, there, nil
}

// ByTime calls fn for the normal items of a folder by time of delivery and, of
// one time, by OID, until it returns false. About n are wanted; ticks is a
// FILETIME, u 0 if the index does not know it.
func (v *View) ByTime(ctx context.Context, f FolderID, newestFirst bool, n int, fn func(ticks uint64, o OID, u UID) bool) error {
	if err := v.m.may("store.bytime", f, RightReadAny); err != nil {
		return err
	}
	p := v.m.num.ID(layout.SubByTime, uint64(f))
	it := v.snap.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p), Reverse: newestFirst, Prefetch: n})
	for it.Next() {
		k := it.Key()[len(p):]
		if len(k) != 14 {
			it.Close()
			return layout.Corrupt("delivery time key")
		}
		u, err := layout.DecodeTimed(it.Value())
		if err != nil {
			it.Close()
			return err
		}
		if !fn(binary.BigEndian.Uint64(k), OID(layout.Get48(k[8:])), u) {
			break
		}
	}
	return wrap("store.bytime", "folder", it.Close())
}

// LastSeq is the seq of the newest entry of the mailbox's log: where a reader of
// MailboxChanges begins who has just read everything.
func (v *View) LastSeq(ctx context.Context) (Seq, error) {
	p := v.m.num.Key(layout.SubLog)
	it := v.snap.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p), Reverse: true, Limit: 1})
	var s Seq
	if it.Next() {
		s, _ = layout.ParseLogSeq(it.Key(), len(p))
	}
	return s, wrap("store.changes", "log", it.Close())
}

// Mailbox returns the mailbox that is seen.
func (v *View) Mailbox() *Mailbox { return v.m }

// ReplicaGUID returns the GUID of a replica, KindNotFound if the mailbox knows none.
func (v *View) ReplicaGUID(ctx context.Context, r ReplicaID) (model.GUID, error) {
	b, err := v.snap.Get(ctx, binary.BigEndian.AppendUint16(v.m.num.Key(layout.SubReplica), uint16(r)))
	if err != nil {
		return model.GUID{}, wrap("store.replica", "replica", err)
	}
	if len(b) < 17 {
		return model.GUID{}, layout.Corrupt("replica")
	}
	return model.GUID(b[1:17]), nil
}
