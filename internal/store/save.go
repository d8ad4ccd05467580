package store

import (
	"context"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Edit is the write set of an open item: what a client changed since it opened
// it. Streams stay the caller's to Release.
type Edit struct {
	// Base is the CN the item had when it was opened. If its content has changed
	// since, Save fails with KindConflict. The zero CN saves over anything.
	Base    CN
	Set     mapi.Properties
	Streams []StreamValue
	Delete  []mapi.Tag

	ReplaceRecipients bool
	Recipients        []mapi.Properties

	// Attach adds attachments (numbers not in use) and replaces them; nil
	// removes one. With ReplaceAttachments these are all.
	Attach             map[uint32]*Attachment
	ReplaceAttachments bool

	// Derived is what the item's stream says as properties, as convert made it.
	// It is needed when the item's truth is not MAPI and the edit has properties
	// that the stream shows: what is the same is left out, and what is not makes
	// properties the truth. Without it such an edit fails with ErrNeedsDerived.
	Derived *NewItem

	Flags   FlagChange // applied as well
	Foreign *Foreign   // nil: as it is, less what a local change takes away
}

// ErrNeedsDerived asks for Edit.Derived.
var ErrNeedsDerived = model.E("store.save", model.KindInvalid, "the stream's properties are needed to compare", nil)

// edited is an item while an edit is applied to it.
type edited struct {
	truth    Truth
	envelope []byte
	props    mapi.Properties // summary and bag
	streams  []StreamRef
	recips   []mapi.Properties
	leaf     *layout.Leaf
	staged   []*content.Staged
	gone     []layout.LeafAttachment // attachments replaced or removed
	shown    bool                    // the octets of the item change
}

// Save changes an item. Its MID stays; if what its MIME form shows changes it
// gets a new UID and OID, and its renderings are dropped. It returns the state
// when that is durable.
func (m *Mailbox) Save(ctx context.Context, o OID, e *Edit) (*State, error) {
	if e.Foreign != nil {
		if err := e.Foreign.Check(); err != nil {
			return nil, err
		}
	}
	e, release, err := m.db.spillEdit(ctx, e)
	if err != nil {
		return nil, err
	}
	defer release()
	var out *State
	err = m.update(ctx, "store.save", func(t *txn) error {
		s, err := t.stateOf(o)
		if err != nil {
			return err
		}
		if s.Place.Space == Deleted {
			return model.E("store.save", model.KindNotFound, "item", nil)
		}
		if err := m.mayItem("store.save", s, RightEditAny, RightEditOwned); err != nil {
			return err
		}
		if e.Base != (CN{}) && e.Base != s.CN {
			return model.E("store.save", model.KindConflict, "item", nil)
		}
		out, err = t.save(s, e)
		return err
	})
	return out, err
}

func (t *txn) save(s *State, e *Edit) (*State, error) {
	items, err := layout.ReadFull(t.ctx, t.m.db.kv, t.m.num, []*State{s}, layout.Whole)
	if err != nil {
		return nil, err
	}
	it := items[0]
	ed, err := openEdit(it)
	if err != nil {
		return nil, err
	}
	if err := ed.apply(e); err != nil {
		return nil, err
	}
	sum := Summary{Envelope: ed.envelope}
	var bag mapi.Properties
	sum.Props, bag = split(ed.props)
	enc, ok := sum.Encode(nil)
	if !ok {
		return nil, model.E("store.save", model.KindInvalid, "property", nil)
	}
	l := ed.leaf
	if l.Bag, err = layout.EncodeBag(bag, ed.streams); err != nil {
		return nil, err
	}
	if l.Recipients, err = layout.EncodeRecipients(ed.recips); err != nil {
		return nil, err
	}
	if err := l.Settle(); err != nil {
		return nil, err
	}
	weight, err := t.heaviest(ed)
	if err != nil {
		return nil, err
	}
	if len(enc) > kv.MaxValue || weight+len(enc) > maxDeliveryBatch {
		return nil, model.E("store.save", model.KindTooLarge, "properties", nil)
	}
	next := *s
	next.Size = itemSize(l, len(enc))
	if err := t.room(next.Size - s.Size); err != nil {
		return nil, err
	}
	if err := t.replaceLeaf(it, ed); err != nil {
		return nil, err
	}
	next.Modified = t.now
	t.flagsOf(&next, e, ed)
	return &next, t.replace(it, &next, enc, &sum, ed.shown)
}

// heaviest is what the largest batch takes that the edited item will ever need:
// that of the edit, or of a copy, which has the embedded messages as well.
func (t *txn) heaviest(ed *edited) (int, error) {
	whole, now := *ed.leaf, 0
	for _, st := range ed.staged {
		now += st.Weight()
	}
	whole.Attach = slices.Clone(ed.leaf.Attach)
	whole.Weight = 0
	if err := whole.Grow(t.ctx, t.m.db.kv, t.m.num, 0); err != nil {
		return 0, err
	}
	return max(whole.Weight, ed.leaf.Weight+now), nil
}

// openEdit decodes an item for changing.
func openEdit(it *layout.FullItem) (*edited, error) {
	ed := &edited{leaf: it.Leaf, truth: it.Leaf.Truth}
	copied := *it.Leaf
	ed.leaf = &copied
	ed.leaf.Attach = slices.Clone(it.Leaf.Attach)
	env, enc, err := layout.SplitSummary(it.Summary)
	if err != nil {
		return nil, err
	}
	ed.envelope = env
	sum, err := mapi.DecodeProperties(enc)
	if err != nil {
		return nil, err
	}
	bag, err := layout.DecodeBag(it.Leaf.Bag)
	if err != nil {
		return nil, err
	}
	ed.props, ed.streams = merge(sum, bag.Props), bag.Streams
	ed.recips, err = layout.DecodeRecipients(it.Leaf.Recipients)
	return ed, err
}

// apply changes the item as e says.
func (ed *edited) apply(e *Edit) error {
	shown, err := ed.shows(e)
	if err != nil {
		return err
	}
	if shown && ed.truth != TruthMAPI {
		if err := ed.switchTruth(e.Derived); err != nil {
			return err
		}
	}
	ed.shown = shown
	overlay := ed.truth != TruthMAPI
	for _, q := range e.Set {
		if id := q.Tag.ID(); isComputed(id) || overlay && isShown(id) {
			continue // the stream says the same
		}
		ed.drop(q.Tag)
		ed.props.Set(q.Tag, q.Value)
	}
	for _, v := range e.Streams {
		if overlay && isShown(v.Tag.ID()) {
			continue
		}
		ed.drop(v.Tag)
		ed.streams = append(ed.streams, StreamRef{Tag: v.Tag, Content: v.Content.ID, Size: v.Content.Size})
		ed.staged = append(ed.staged, v.Content)
	}
	for _, tag := range e.Delete {
		if !isComputed(tag.ID()) {
			ed.drop(tag)
		}
	}
	if overlay {
		return nil
	}
	if e.ReplaceRecipients {
		if len(e.Recipients) > maxRecipients {
			return model.E("store.save", model.KindTooLarge, "recipients", nil)
		}
		ed.recips = e.Recipients
	}
	if err := ed.attach(e); err != nil {
		return err
	}
	if shown {
		for _, q := range e.Set {
			if q.Tag == mapi.TagSubject {
				if _, ok := e.Set.Get(mapi.TagNormalizedSubject); !ok {
					ed.props.Delete(mapi.TagNormalizedSubject)
				}
			}
		}
		compute(&ed.props, ed.recips, len(ed.leaf.Attach) > 0)
	}
	return nil
}

// drop removes a property whatever its type and form.
func (ed *edited) drop(tag mapi.Tag) {
	same := func(t mapi.Tag) bool { return t.ID() == tag.ID() }
	ed.props = slices.DeleteFunc(ed.props, func(q mapi.Property) bool { return same(q.Tag) })
	ed.streams = slices.DeleteFunc(ed.streams, func(r StreamRef) bool { return same(r.Tag) })
}

// shows reports whether the edit changes what the item's MIME form shows.
func (ed *edited) shows(e *Edit) (bool, error) {
	have, recips := ed.props, ed.recips
	touched := e.ReplaceRecipients || e.ReplaceAttachments || len(e.Attach) > 0
	for _, q := range e.Set {
		touched = touched || isShown(q.Tag.ID())
	}
	for _, v := range e.Streams {
		touched = touched || isShown(v.Tag.ID())
	}
	for _, tag := range e.Delete {
		touched = touched || isShown(tag.ID())
	}
	if !touched {
		return false, nil
	}
	if ed.truth != TruthMAPI {
		if e.Derived == nil {
			return false, ErrNeedsDerived
		}
		have, recips = merge(have, e.Derived.Props), e.Derived.Recipients
	}
	for _, q := range e.Set {
		if !isShown(q.Tag.ID()) {
			continue
		}
		if v, ok := have.Get(q.Tag); !ok || !sameValue(v, q.Value) {
			return true, nil
		}
	}
	for _, v := range e.Streams {
		if isShown(v.Tag.ID()) && !ed.sameStream(v, e.Derived) {
			return true, nil
		}
	}
	for _, tag := range e.Delete {
		if isShown(tag.ID()) && ed.has(tag, have, e.Derived) {
			return true, nil
		}
	}
	if e.ReplaceRecipients && !sameRecipients(recips, e.Recipients) {
		return true, nil
	}
	if ed.truth == TruthMAPI {
		return e.ReplaceAttachments || len(e.Attach) > 0, nil
	}
	return (e.ReplaceAttachments || len(e.Attach) > 0) && !sameAttachments(e.Derived.Attachments, e.Attachments()), nil
}

// has reports whether the item shows a property, whatever its type and form.
func (ed *edited) has(tag mapi.Tag, have mapi.Properties, derived *NewItem) bool {
	same := func(t mapi.Tag) bool { return t.ID() == tag.ID() }
	return slices.ContainsFunc(have, func(q mapi.Property) bool { return same(q.Tag) }) ||
		slices.ContainsFunc(ed.streams, func(r StreamRef) bool { return same(r.Tag) }) ||
		derived != nil && slices.ContainsFunc(derived.Streams, func(v StreamValue) bool { return same(v.Tag) })
}

func (ed *edited) sameStream(v StreamValue, derived *NewItem) bool {
	for _, r := range ed.streams {
		if r.Tag == v.Tag && r.Content == v.Content.ID {
			return true
		}
	}
	return derived != nil && slices.ContainsFunc(derived.Streams, func(d StreamValue) bool { return d.Tag == v.Tag && d.Content.ID == v.Content.ID })
}

// Attachments are those of a whole upload, by number.
func (e *Edit) Attachments() (out []Attachment) {
	for _, n := range sortedNumbers(e.Attach) {
		if a := e.Attach[n]; a != nil {
			out = append(out, *a)
		}
	}
	return out
}

func sortedNumbers(m map[uint32]*Attachment) []uint32 {
	var ns []uint32
	for n := range m {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns
}

// switchTruth makes properties the truth: those the stream showed, under the
// overlay. The stream stays as evidence.
func (ed *edited) switchTruth(derived *NewItem) error {
	var st Stream
	if err := st.Decode(ed.leaf.Stream); err != nil {
		return err
	}
	next := Stream{Truth: TruthMAPI, Evidence: st.Content}
	d, err := derived.leaf(&ed.staged, 0)
	if err != nil {
		return err
	}
	ed.truth = TruthMAPI
	// The overlay wins, whatever form a property has in it.
	over := edited{props: slices.Clone(ed.props), streams: slices.Clone(ed.streams)}
	for _, q := range derived.Props {
		if !over.has(q.Tag, over.props, nil) {
			ed.props.Set(q.Tag, q.Value)
		}
	}
	for _, v := range derived.Streams {
		if !over.has(v.Tag, over.props, nil) {
			ed.streams = append(ed.streams, StreamRef{Tag: v.Tag, Content: v.Content.ID, Size: v.Content.Size})
		}
	}
	ed.recips = derived.Recipients
	ed.gone = append(ed.gone, ed.leaf.Attach...)
	ed.leaf.Attach = d.Attach
	ed.leaf.Stream = next.Encode(nil)
	ed.envelope = nil
	return nil
}

// attach applies the changes of attachments.
func (ed *edited) attach(e *Edit) error {
	if e.ReplaceAttachments {
		ed.gone = append(ed.gone, ed.leaf.Attach...)
		ed.leaf.Attach = nil
	}
	for _, n := range sortedNumbers(e.Attach) {
		if i := slices.IndexFunc(ed.leaf.Attach, func(a layout.LeafAttachment) bool { return a.Number == n }); i >= 0 {
			ed.gone = append(ed.gone, ed.leaf.Attach[i])
			ed.leaf.Attach = slices.Delete(ed.leaf.Attach, i, i+1)
		}
		a := e.Attach[n]
		if a == nil {
			continue
		}
		if len(ed.leaf.Attach) >= maxAttachments {
			return model.E("store.save", model.KindTooLarge, "attachments", nil)
		}
		refer := func(st *content.Staged) content.ID {
			ed.staged = append(ed.staged, st)
			return st.ID
		}
		la, err := a.leaf(&ed.staged, refer, n, 0)
		if err != nil {
			return err
		}
		ed.leaf.Attach = append(ed.leaf.Attach, la)
	}
	return nil
}

// replaceLeaf writes the rows of an edited item over the old ones.
func (t *txn) replaceLeaf(it *layout.FullItem, ed *edited) error {
	// Not what was staged for a property or attachment that the edit then replaced:
	// nothing would ever tell the collector of it.
	used := map[content.ID]bool{}
	ed.leaf.Refers(used)
	for _, st := range ed.staged {
		if used[st.ID] {
			st.AddTo(t.b)
		}
	}
	old := *it.Leaf
	old.Attach = slices.Clone(old.Attach)
	for i := range old.Attach {
		a := &old.Attach[i]
		if a.Child != 0 && !slices.ContainsFunc(ed.gone, func(g layout.LeafAttachment) bool { return g.Child == a.Child }) {
			a.Child = 0 // stays
		}
	}
	if err := t.dropLeaf(t.m.db.kv, it.State.Row, &old, 0); err != nil {
		return err
	}
	t.putLeaf(it.State.Row, ed.leaf)
	return t.dropRendering(it.State.Row, ed.kept()...)
}

// kept are the renderings that outlive the edit: what IMAP sees under a UID that
// stays. The others show properties that MIME does not, and no UID names them.
func (ed *edited) kept() []RenderingKind {
	if ed.shown {
		return nil
	}
	return []RenderingKind{RenderingMIME}
}

// flagsOf settles the flags and names of a saved item.
func (t *txn) flagsOf(s *State, e *Edit, ed *edited) {
	s.Flags = s.Flags&^(e.Flags.Clear&layout.FlagsClient) | e.Flags.Set&layout.FlagsClient
	if len(ed.leaf.Attach) > 0 {
		s.Flags |= HasAttachments
	} else if ed.truth == TruthMAPI {
		s.Flags &^= HasAttachments
	}
	s.Foreign.ChangeKey = nil
	if e.Foreign != nil {
		s.Foreign = *e.Foreign
	}
}

// replace writes an edited item's state and summary. reveal says that its MIME
// form changed: in the normal space it then gets a new UID and OID.
func (t *txn) replace(it *layout.FullItem, s *State, summary []byte, sum *Summary, reveal bool) error {
	m, old := t.m.num, *it.State
	move := reveal && old.Place.Space == Normal
	if move {
		gone := old
		gone.Seq = t.nextSeq()
		layout.LogGone(t.b, m, &old, gone.Seq, it.Class)
		layout.LogDeleted(t.b, t.m.num, &gone, it.Class)
		n, err := t.nextUID(old.Place.Folder)
		if err != nil {
			return err
		}
		s.Place.N, s.OID = uint64(n), OID(t.nextID())
		t.b.Delete(m.Place(layout.SubState, old.Place))
		t.b.Delete(m.Place(layout.SubSummary, old.Place))
	}
	s.Seq = t.nextSeq()
	s.CN = CN{Replica: 1, Counter: uint64(s.Seq)}
	if (s.Flags^old.Flags)&Read != 0 {
		s.ReadCN = s.CN
	}
	t.dropIndexes(&old, it.MessageID, it.Conversation)
	t.putRows(s, summary)
	t.putIndexes(s, sum.Props.Text(mapi.TagInternetMessageID), sum.Props.Binary(mapi.TagConversationID))
	if move {
		s.Created = s.Seq
		t.b.Set(m.Place(layout.SubState, s.Place), s.Encode(nil))
		layout.LogItem(t.b, m, nil, s, 0)
	} else {
		layout.LogItem(t.b, m, &old, s, 0)
	}
	if err := t.count(&old, -1); err != nil {
		return err
	}
	return t.count(s, 1)
}

// itemSize is what an item counts: the octets of its stream if that is the
// truth, else those of its properties, streams and attachments.
func itemSize(l *layout.Leaf, summary int) int64 {
	var st Stream
	if l.Truth != TruthMAPI && st.Decode(l.Stream) == nil {
		return st.Size + int64(len(st.Trace))
	}
	return l.Size + int64(summary)
}

// Create stores a new item made of properties in a folder; what follows from
// them is computed. Large values become streams.
func (m *Mailbox) Create(ctx context.Context, folder FolderID, n *NewItem) (*State, error) {
	item, release, err := m.db.spill(ctx, n)
	if err != nil {
		return nil, err
	}
	defer release()
	all := merge(item.Summary.Props, item.Props)
	if item.Content == nil {
		all = slices.DeleteFunc(all, func(q mapi.Property) bool { return isComputed(q.Tag.ID()) })
		compute(&all, item.Recipients, len(item.Attachments) > 0)
	}
	item.Summary.Props, item.Props = split(all)
	if item.Modified.IsZero() {
		item.Modified = m.db.opt.Clock().Truncate(100 * time.Nanosecond)
	}
	st, err := m.Append(ctx, folder, item)
	if err != nil {
		return nil, err
	}
	return st[0], nil
}
