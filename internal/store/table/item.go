package table

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// itemRow is the row of a message. Values come from the state row (computed),
// the summary, or the bag, in this order.
type itemRow struct {
	*store.ItemRow
	ctx     context.Context
	v       *store.View
	names   *names
	columns []mapi.Tag // what Columns has instead of Summary; nil: Summary was read
	bagged  bool       // Bag was read
	made    []byte     // the Raw that was made last
}

// names is what ids in rows are made with.
type names struct {
	mailbox  model.GUID
	replicas map[store.ReplicaID]model.GUID
}

func readNames(ctx context.Context, v *store.View) (*names, error) {
	g, err := v.ReplicaGUID(ctx, 1)
	if err != nil {
		return nil, err
	}
	return &names{mailbox: v.Mailbox().GUID(), replicas: map[store.ReplicaID]model.GUID{1: g}}, nil
}

// replica returns the GUID of a replica, read once.
func (n *names) replica(ctx context.Context, v *store.View, r store.ReplicaID) (model.GUID, error) {
	if g, ok := n.replicas[r]; ok {
		return g, nil
	}
	g, err := v.ReplicaGUID(ctx, r)
	if err == nil {
		n.replicas[r] = g
	}
	return g, err
}

// clone is n for another goroutine.
func (n *names) clone() *names { return &names{n.mailbox, maps.Clone(n.replicas)} }

func (n *names) folder(f store.FolderID) mapi.GID {
	return mapi.GID{Replica: n.replicas[1], Counter: uint64(f)}
}

// parts returns which rows of an item are needed for some properties.
func parts(need []mapi.Tag) (p store.ItemParts) {
	for _, t := range need {
		switch {
		case computed(t):
			p |= store.WantState
			if mixed(t) {
				p |= store.WantSummary
			}
		case store.InSummary(t):
			p |= store.WantSummary
		default:
			p |= store.WantSummary | store.WantState | store.WantBag
		}
	}
	return p
}

// computed reports whether a property is made of the state row.
func computed(t mapi.Tag) bool {
	switch t {
	case mapi.TagMessageFlags, mapi.TagMessageSize, mapi.TagMessageSizeExtended, mapi.TagMessageDeliveryTime, mapi.TagRead,
		mapi.TagFlagStatus, mapi.TagIconIndex, mapi.TagLastVerbExecuted, mapi.TagHasAttachments, mapi.TagAssociated, mapi.TagMID,
		mapi.TagInstID, mapi.TagFolderID, mapi.TagEntryID, mapi.TagParentEntryID, mapi.TagInstanceKey, mapi.TagRecordKey,
		mapi.TagSourceKey, mapi.TagParentSourceKey, mapi.TagChangeKey, mapi.TagChangeNumber, mapi.TagPredecessorChangeList,
		mapi.TagObjectType, mapi.TagDeletedOn, mapi.TagLastModificationTime, mapi.TagCreationTime, mapi.TagMessageStatus:
		return true
	}
	return false
}

// mixed reports whether a computed property looks at the summary too.
func mixed(t mapi.Tag) bool {
	switch t {
	case mapi.TagMessageFlags, mapi.TagHasAttachments, mapi.TagIconIndex, mapi.TagFlagStatus, mapi.TagLastVerbExecuted, mapi.TagCreationTime:
		return true
	}
	return false
}

// Raw implements Row.
func (r *itemRow) Raw(t mapi.Tag) (mapi.Raw, bool, error) {
	if computed(t) {
		return r.makeRaw(t)
	}
	raw, err := r.summary(t)
	if err != nil || raw.Found() || store.InSummary(t) {
		return raw, true, err
	}
	if !r.bagged { // what nobody announced is looked up by itself
		if err := r.fetchBag(); err != nil {
			return raw, true, err
		}
	}
	if len(r.Bag) == 0 {
		return mapi.Raw{}, true, nil
	}
	raw, err = mapi.Lookup(r.Bag, t)
	return raw, true, err
}

// summary is a property of the summary where it stands.
func (r *itemRow) summary(t mapi.Tag) (mapi.Raw, error) {
	if r.columns != nil {
		if i := slices.Index(r.columns, t); i >= 0 {
			return r.Columns[i], nil
		}
	}
	if r.Summary == nil && r.Place.Folder != 0 { // what nobody announced
		items, err := r.v.ItemsAt(r.ctx, []store.Place{r.Place}, store.WantSummary)
		if err != nil {
			return mapi.Raw{}, err
		}
		r.Summary = items[0].Summary
	}
	return mapi.Lookup(r.Summary, t)
}

// makeRaw makes what scans ask for most without an object for each row; it is
// valid until the next.
func (r *itemRow) makeRaw(t mapi.Tag) (mapi.Raw, bool, error) {
	s, b := r.State, r.made[:0]
	switch {
	case t == mapi.TagMessageSize:
		b = binary.AppendVarint(b, min(s.Size, math.MaxInt32))
	case t == mapi.TagMessageSizeExtended:
		b = binary.AppendVarint(b, s.Size)
	case t == mapi.TagMessageDeliveryTime && !s.Time.IsZero():
		b = binary.AppendVarint(b, int64(mapi.FileTime(s.Time)))
	case t == mapi.TagRead && s.Flags&store.Read != 0:
		b = append(b, 1)
	case t == mapi.TagRead:
		b = append(b, 0)
	default:
		return mapi.Raw{}, false, nil
	}
	r.made = b
	return mapi.Raw{Tag: t, B: b}, true, nil
}

func (r *itemRow) fetchBag() error {
	items, err := r.v.ItemsAt(r.ctx, []store.Place{r.Place}, store.WantBag)
	if err == nil {
		r.Bag, r.bagged = items[0].Bag, true
	}
	return err
}

// Value implements Row.
func (r *itemRow) Value(t mapi.Tag) (any, error) {
	if computed(t) {
		return r.compute(t)
	}
	raw, _, err := r.Raw(t)
	if err != nil || !raw.Found() {
		return nil, err
	}
	v := raw.Value()
	if v == nil {
		return nil, model.E("table.row", model.KindCorrupt, "property", nil)
	}
	return v, nil
}

// compute makes a property of the state row.
func (r *itemRow) compute(t mapi.Tag) (any, error) {
	s := r.State
	switch t {
	case mapi.TagMessageSize:
		return int32(min(s.Size, math.MaxInt32)), nil
	case mapi.TagMessageSizeExtended:
		return s.Size, nil
	case mapi.TagMessageDeliveryTime:
		if s.Time.IsZero() {
			return nil, nil
		}
		return s.Time, nil
	case mapi.TagRead:
		return s.Flags&store.Read != 0, nil
	case mapi.TagAssociated:
		return s.Place.Space == store.Associated, nil
	case mapi.TagObjectType:
		return int32(mapi.ObjectMessage), nil
	case mapi.TagMessageStatus:
		return r.status(), nil
	case mapi.TagDeletedOn:
		if s.Deleted.IsZero() {
			return nil, nil
		}
		return s.Deleted, nil
	case mapi.TagLastModificationTime:
		return r.State.LastModified(), nil
	case mapi.TagMessageFlags, mapi.TagHasAttachments, mapi.TagIconIndex, mapi.TagFlagStatus, mapi.TagLastVerbExecuted, mapi.TagCreationTime:
		return r.blend(t)
	}
	return r.name(t)
}

// status is PidTagMessageStatus: marked for deletion (MS-OXCMSG 2.2.1.8).
func (r *itemRow) status() int32 {
	if r.State.Flags&store.DeletedMark != 0 {
		return 0x08
	}
	return 0
}

// stored is a property of the summary, for those that are computed without one.
func (r *itemRow) stored(t mapi.Tag) (any, error) {
	if len(r.Summary) == 0 && r.columns == nil {
		return nil, nil
	}
	raw, err := r.summary(t)
	if err != nil || !raw.Found() {
		return nil, err
	}
	return raw.Value(), nil
}

// blend makes properties of the state's flags and the summary.
func (r *itemRow) blend(t mapi.Tag) (any, error) {
	f := r.State.Flags
	switch {
	case t == mapi.TagMessageFlags:
		return r.messageFlags()
	case t == mapi.TagHasAttachments && f&store.HasAttachments != 0:
		return true, nil
	case t == mapi.TagFlagStatus && f&store.Flagged != 0:
		return int32(2), nil
	case t == mapi.TagIconIndex && f&store.Answered != 0:
		return int32(0x105), nil // MS-OXOMSG 2.2.1.10
	case t == mapi.TagIconIndex && f&store.Forwarded != 0:
		return int32(0x106), nil
	case t == mapi.TagLastVerbExecuted && f&store.Answered != 0:
		return int32(102), nil // MS-OXOMSG 2.2.1.4
	case t == mapi.TagLastVerbExecuted && f&store.Forwarded != 0:
		return int32(104), nil
	}
	v, err := r.stored(t)
	if err != nil || v != nil {
		return v, err
	}
	switch t {
	case mapi.TagHasAttachments:
		return false, nil
	case mapi.TagCreationTime: // without one of its own it came as it is
		return r.compute(mapi.TagMessageDeliveryTime)
	}
	return nil, nil
}

func (r *itemRow) messageFlags() (any, error) {
	f, out := r.State.Flags, int32(0)
	if f&store.Read != 0 {
		out |= mapi.MessageFlagRead
	}
	if f&store.Draft != 0 {
		out |= mapi.MessageFlagUnsent
	}
	if r.State.Place.Space == store.Associated {
		out |= mapi.MessageFlagAssociated
	}
	has, err := r.blend(mapi.TagHasAttachments)
	if has == true {
		out |= mapi.MessageFlagHasAttach
	}
	return out, err
}

// name makes the properties that name an item and its versions.
func (r *itemRow) name(t mapi.Tag) (any, error) {
	s, n := r.State, r.names
	item := mapi.GID{Replica: n.replicas[1], Counter: uint64(s.MID)}
	switch t {
	case mapi.TagMID, mapi.TagInstID:
		return int64(mapi.MakeShortID(1, uint64(s.MID))), nil
	case mapi.TagFolderID:
		return int64(mapi.MakeShortID(1, uint64(s.Place.Folder))), nil
	case mapi.TagEntryID:
		e := mapi.EntryID{Provider: n.mailbox, Folder: n.folder(s.Place.Folder), Message: &item}
		return e.Append(nil), nil
	case mapi.TagParentEntryID:
		e := mapi.EntryID{Provider: n.mailbox, Folder: n.folder(s.Place.Folder)}
		return e.Append(nil), nil
	case mapi.TagInstanceKey, mapi.TagRecordKey:
		return binary.BigEndian.AppendUint64(nil, uint64(s.MID)), nil
	case mapi.TagSourceKey:
		if s.Foreign.SourceKey != nil {
			return s.Foreign.SourceKey, nil
		}
		return item.AppendSourceKey(nil), nil
	case mapi.TagParentSourceKey:
		return n.folder(s.Place.Folder).AppendSourceKey(nil), nil
	case mapi.TagChangeNumber:
		return int64(mapi.MakeShortID(mapi.ReplID(s.CN.Replica), s.CN.Counter)), nil
	}
	g, err := n.replica(r.ctx, r.v, s.CN.Replica)
	if err != nil {
		return nil, err
	}
	x := mapi.CounterXID(g, s.CN.Counter)
	switch {
	case t == mapi.TagChangeKey && s.Foreign.ChangeKey != nil:
		return s.Foreign.ChangeKey, nil
	case t == mapi.TagChangeKey:
		return x.Append(nil), nil
	}
	p, err := mapi.ParsePCL(s.Foreign.PCL)
	return p.With(x).Append(nil), err
}

// Each implements Row: the recipients or attachments of the message.
func (r *itemRow) Each(table mapi.Tag, fn func(mapi.Getter) (bool, error)) error {
	if r.State == nil {
		items, err := r.v.ItemsAt(r.ctx, []store.Place{r.Place}, store.WantState)
		if err != nil || items[0].State == nil {
			return err
		}
		r.State = items[0].State
	}
	rows, err := itemTable(r.ctx, r.v, r.State.Row, table)
	if err != nil {
		return err
	}
	for i := range rows {
		if more, err := fn(listRow{&rows[i]}); !more || err != nil {
			return err
		}
	}
	return nil
}

// itemTable returns the recipients or attachments of an item.
func itemTable(ctx context.Context, v *store.View, row store.RowID, table mapi.Tag) (out []ListRow, err error) {
	if table == mapi.TagMessageRecipients {
		recipients, err := v.Recipients(ctx, row)
		for i, p := range recipients {
			p.Set(mapi.TagRowID, int32(i))
			out = append(out, ListRow{ID: uint64(i) + 1, Props: p})
		}
		return out, err
	}
	attachments, err := v.Attachments(ctx, row)
	for _, a := range attachments {
		a.Props.Set(mapi.TagAttachNumber, int32(a.Number))
		a.Props.Set(mapi.TagObjectType, int32(mapi.ObjectAttachment))
		out = append(out, ListRow{ID: uint64(a.Number) + 1, Props: a.Props})
	}
	return out, err
}

// Recipients is the table of an item's recipients.
func Recipients(row store.RowID) *List {
	return itemList(row, mapi.TagMessageRecipients, mapi.TagRowID)
}

// Attachments is the table of an item's attachments.
func Attachments(row store.RowID) *List {
	return itemList(row, mapi.TagMessageAttachments, mapi.TagAttachNumber)
}

func itemList(row store.RowID, table, order mapi.Tag) *List {
	return &List{Order: []mapi.SortColumn{{Tag: order}}, Rows: func(ctx context.Context, v *store.View) ([]ListRow, error) {
		return itemTable(ctx, v, row, table)
	}}
}
