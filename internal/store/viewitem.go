package store

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/layout"
)

// Bag returns the property bag of an item, without its summary.
func (v *View) Bag(ctx context.Context, row RowID) (Bag, error) {
	vals, err := v.snap.GetMany(ctx, [][]byte{v.m.num.ID(layout.SubBag, uint64(row))})
	if err != nil {
		return Bag{}, wrap("store.props", "item", err)
	}
	return layout.DecodeBag(vals[0])
}

// Props is Bag without large properties.
func (v *View) Props(ctx context.Context, row RowID) (mapi.Properties, error) {
	b, err := v.Bag(ctx, row)
	return b.Props, err
}

// Recipients returns the recipients table of an item.
func (v *View) Recipients(ctx context.Context, row RowID) ([]mapi.Properties, error) {
	m := v.m.num
	vals, err := v.snap.GetMany(ctx, [][]byte{m.RecipientRow(row, 0)})
	if err != nil {
		return nil, wrap("store.recipients", "item", err)
	}
	rows, err := layout.MoreRecipients(ctx, v.snap, m, row, vals[0])
	if err != nil {
		return nil, err
	}
	return layout.DecodeRecipients(rows)
}

// Attachments returns the attachments of an item.
func (v *View) Attachments(ctx context.Context, row RowID) ([]AttachmentRow, error) {
	var l layout.Leaf
	if err := l.ReadAttachments(ctx, v.snap, v.m.num, row); err != nil {
		return nil, err
	}
	return l.Attachments()
}

// Item is everything the store keeps of an item, but for its octets.
type Item struct {
	State       State
	Summary     Summary
	Bag         Bag
	Stream      Stream
	Recipients  []mapi.Properties
	Attachments []AttachmentRow
}

// Item reads an item by its OID.
func (v *View) Item(ctx context.Context, o OID) (*Item, error) {
	p, err := v.Find(ctx, o)
	if err != nil {
		return nil, err
	}
	return v.ItemAt(ctx, p)
}

// ItemAt reads the item of a place.
func (v *View) ItemAt(ctx context.Context, p Place) (*Item, error) {
	if err := v.m.mayRead("store.item", p.Folder, p.Space); err != nil {
		return nil, err
	}
	b, err := v.snap.Get(ctx, v.m.num.Place(layout.SubState, p))
	if err != nil {
		return nil, wrap("store.item", "item", err)
	}
	it := new(Item)
	if err := it.State.Decode(p, b); err != nil {
		return nil, err
	}
	full, err := layout.ReadFull(ctx, v.snap, v.m.num, []*State{&it.State}, layout.Whole)
	if err != nil {
		return nil, err
	}
	return it, it.fill(full[0])
}

func (it *Item) fill(full *layout.FullItem) error {
	env, enc, err := layout.SplitSummary(full.Summary)
	if err != nil {
		return err
	}
	it.Summary.Envelope = env
	if it.Summary.Props, err = mapi.DecodeProperties(enc); err != nil {
		return err
	}
	return it.fillLeaf(full.Leaf)
}

func (it *Item) fillLeaf(l *layout.Leaf) (err error) {
	if it.Bag, err = layout.DecodeBag(l.Bag); err != nil {
		return err
	}
	if it.Recipients, err = layout.DecodeRecipients(l.Recipients); err != nil {
		return err
	}
	if err = it.Stream.Decode(l.Stream); err != nil {
		return err
	}
	it.Attachments, err = l.Attachments()
	return err
}

// Embedded reads an embedded message by the row id that its attachment names.
// It has no state and no summary of its own.
func (v *View) Embedded(ctx context.Context, row RowID) (*Item, error) {
	l, err := layout.ReadLeaf(ctx, v.snap, v.m.num, row)
	if err != nil {
		return nil, err
	}
	it := new(Item)
	it.State.Row = row
	return it, it.fillLeaf(l)
}

// StatesAt returns the states of items by place, in the order of places; nil
// for one that is not there.
func (v *View) StatesAt(ctx context.Context, places []Place) ([]*State, error) {
	out := make([]*State, len(places))
	for from := 0; from < len(places); from += chunkItems {
		some := places[from:min(from+chunkItems, len(places))]
		keys := make([][]byte, len(some))
		for i, p := range some {
			if err := v.m.mayRead("store.read", p.Folder, p.Space); err != nil {
				return nil, err
			}
			keys[i] = v.m.num.Place(layout.SubState, p)
		}
		vals, err := v.snap.GetMany(ctx, keys)
		if err != nil {
			return nil, wrap("store.read", "items", err)
		}
		for i, b := range vals {
			if b == nil {
				continue
			}
			s := new(State)
			if err := s.Decode(some[i], b); err != nil {
				return nil, err
			}
			out[from+i] = s
		}
	}
	return out, nil
}

// SpaceStates calls fn for the states of all items of a space of a folder, in
// order, until it returns false. The State is reused.
func (v *View) SpaceStates(ctx context.Context, f FolderID, sp Space, fn func(*State) bool) error {
	if err := v.m.mayRead("store.read", f, sp); err != nil {
		return err
	}
	return layout.ScanStates(ctx, v.snap, v.m.num, f, sp, 0, layout.MaxN, 0, fn)
}

// TimeRange calls fn for the normal items of a folder that were delivered from
// from on and before to, oldest first, until it returns false.
func (v *View) TimeRange(ctx context.Context, f FolderID, from, to time.Time, fn func(OID) bool) error {
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return err
	}
	m := v.m.num
	it := v.snap.Scan(ctx, kv.Range{Lower: m.ByTime(f, mapi.FileTime(from), 0), Upper: m.ByTime(f, mapi.FileTime(to), 0)})
	for it.Next() {
		k := it.Key()
		if len(k) != 6+6+8+6 {
			it.Close()
			return layout.Corrupt("time index")
		}
		if !fn(OID(layout.Get48(k[20:]))) {
			break
		}
	}
	return wrap("store.read", "folder", it.Close())
}
