package store

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/content"
)

// Bag is the properties of an item beyond its summary.
type Bag struct {
	Props   mapi.Properties
	Streams []StreamRef // those too large for Props, by tag
}

// StreamRef is a large property: a stream of UTF-8 or octets.
type StreamRef struct {
	Tag     mapi.Tag
	Content content.ID
	Size    int64
}

// Bag returns the property bag of an item, without its summary.
func (v *View) Bag(ctx context.Context, row RowID) (Bag, error) {
	vals, err := v.snap.GetMany(ctx, [][]byte{v.m.num.id(subBag, uint64(row))})
	if err != nil {
		return Bag{}, wrap("store.props", "item", err)
	}
	return decodeBag(vals[0])
}

// Props is Bag without large properties.
func (v *View) Props(ctx context.Context, row RowID) (mapi.Properties, error) {
	b, err := v.Bag(ctx, row)
	return b.Props, err
}

// Recipients returns the recipients table of an item.
func (v *View) Recipients(ctx context.Context, row RowID) ([]mapi.Properties, error) {
	m := v.m.num
	vals, err := v.snap.GetMany(ctx, [][]byte{m.recipientKey(row, 0)})
	if err != nil {
		return nil, wrap("store.recipients", "item", err)
	}
	rows, err := moreRecipients(ctx, v.snap, m, row, vals[0])
	if err != nil {
		return nil, err
	}
	return decodeRecipients(rows)
}

// AttachmentRow is a stored attachment.
type AttachmentRow struct {
	Number   uint32
	Props    mapi.Properties
	Content  content.ID // 0: the data is in Props
	Size     int64      // octets of Content; 0 in rows of the first version
	Embedded RowID      // of an embedded message, whose bag, recipients and attachments hang on it; 0: none
}

// Attachments returns the attachments of an item.
func (v *View) Attachments(ctx context.Context, row RowID) ([]AttachmentRow, error) {
	var l leaf
	if err := l.readAttachments(ctx, v.snap, v.m.num, row); err != nil {
		return nil, err
	}
	return l.attachments()
}

func (l *leaf) attachments() ([]AttachmentRow, error) {
	var out []AttachmentRow
	for _, a := range l.attach {
		p, err := mapi.DecodeProperties(a.props)
		if err != nil {
			return nil, corrupt("attachment")
		}
		out = append(out, AttachmentRow{a.number, p, a.content, a.size, a.child})
	}
	return out, nil
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
	b, err := v.snap.Get(ctx, v.m.num.place(subState, p))
	if err != nil {
		return nil, wrap("store.item", "item", err)
	}
	it := new(Item)
	if err := it.State.decode(p, b); err != nil {
		return nil, err
	}
	full, err := readFull(ctx, v.snap, v.m.num, []*State{&it.State}, whole)
	if err != nil {
		return nil, err
	}
	return it, it.fill(full[0])
}

func (it *Item) fill(full *fullItem) error {
	env, enc, err := splitSummary(full.summary)
	if err != nil {
		return err
	}
	it.Summary.Envelope = env
	if it.Summary.Props, err = mapi.DecodeProperties(enc); err != nil {
		return err
	}
	return it.fillLeaf(full.leaf)
}

func (it *Item) fillLeaf(l *leaf) (err error) {
	if it.Bag, err = decodeBag(l.bag); err != nil {
		return err
	}
	if it.Recipients, err = decodeRecipients(l.recips); err != nil {
		return err
	}
	if err = it.Stream.decode(l.stream); err != nil {
		return err
	}
	it.Attachments, err = l.attachments()
	return err
}

// Embedded reads an embedded message by the row id that its attachment names.
// It has no state and no summary of its own.
func (v *View) Embedded(ctx context.Context, row RowID) (*Item, error) {
	l, err := readLeaf(ctx, v.snap, v.m.num, row)
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
			keys[i] = v.m.num.place(subState, p)
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
			if err := s.decode(some[i], b); err != nil {
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
	return scanStates(ctx, v.snap, v.m.num, f, sp, 0, 1<<48-1, 0, fn)
}

// TimeRange calls fn for the normal items of a folder that were delivered from
// from on and before to, oldest first, until it returns false.
func (v *View) TimeRange(ctx context.Context, f FolderID, from, to time.Time, fn func(OID) bool) error {
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return err
	}
	m := v.m.num
	it := v.snap.Scan(ctx, kv.Range{Lower: m.byTime(f, mapi.FileTime(from), 0), Upper: m.byTime(f, mapi.FileTime(to), 0)})
	for it.Next() {
		k := it.Key()
		if len(k) != 6+6+8+6 {
			it.Close()
			return corrupt("time index")
		}
		if !fn(OID(get48(k[20:]))) {
			break
		}
	}
	return wrap("store.read", "folder", it.Close())
}
