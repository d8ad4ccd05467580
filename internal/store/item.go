package store

import (
	"sort"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// NewItem is a message on its way in. The store does not change it, so one
// NewItem may be delivered to many mailboxes.
type NewItem struct {
	// Truth says which form is the original; 0: MIME if there is Content,
	// properties otherwise.
	Truth Truth
	// Content is the original stream (MIME, iCalendar, vCard); nil for an item
	// made of properties. It stays the caller's to Release.
	Content     *content.Staged
	Trace       []byte // header lines that belong to this copy alone, with their CRLFs
	Structure   []byte // parsed form of Content; opaque
	Summary     Summary
	Props       mapi.Properties // beyond the summary
	Streams     []StreamValue   // properties too large for Props
	Recipients  []mapi.Properties
	Attachments []Attachment
	Flags       Flags
	Keywords    []string
	Time        time.Time // of delivery; zero: now
	Associated  bool
	Recoverable bool      // among the deleted items of the folder from the start
	Creator     []byte    // SID of who made it; nil for mail from outside
	Modified    time.Time // zero: not since it came
	Foreign     Foreign
	// MID is one that ReserveIDs gave a client; 0: the next one.
	MID MID
	// CN is the change number that another replica gave; zero: a local one.
	CN CN
}

// StreamValue is a large property on its way in: UTF-8 for strings. The stream
// stays the caller's to Release.
type StreamValue struct {
	Tag     mapi.Tag
	Content *content.Staged
}

// Attachment is a file of an item made of properties, by value (Content or
// Props) or an embedded message.
type Attachment struct {
	Props   mapi.Properties
	Content *content.Staged // nil: the data is in Props
	// Embedded is the message of an attachment of method 5 (MS-OXCMSG 2.2.2.9).
	// Of it Props, Streams, Content, Recipients and Attachments count.
	Embedded *NewItem
}

// Limits of an item.
const (
	maxRecipients  = 10000
	maxAttachments = 1000
)

// check refuses what could not be stored, before anything is.
func (n *NewItem) check() error {
	bad := func(what string) error { return model.E("store.append", model.KindTooLarge, what, nil) }
	switch {
	case len(n.Recipients) > maxRecipients:
		return bad("recipients")
	case len(n.Creator) > layout.MaxSID:
		return bad("SID")
	case len(n.Attachments) > maxAttachments:
		return bad("attachments")
	case len(n.Trace)+len(n.Structure) > kv.MaxValue-1024-maxTrace:
		return bad("structure")
	case len(n.Summary.Envelope) > kv.MaxValue/2:
		return bad("envelope")
	}
	if err := n.Foreign.Check(); err != nil {
		return err
	}
	return checkKeywords(n.Keywords)
}

func checkKeywords(ks []string) error {
	if len(ks) > layout.MaxKeywords {
		return model.E("store.keywords", model.KindTooLarge, "too many keywords", nil)
	}
	for _, k := range ks {
		if k == "" || len(k) > layout.MaxKeywordSize {
			return model.E("store.keywords", model.KindInvalid, k, nil)
		}
	}
	return nil
}

// sortedKeywords returns ks sorted, each once.
func sortedKeywords(ks []string) []string {
	if len(ks) == 0 {
		return nil
	}
	out := append([]string(nil), ks...)
	sort.Strings(out)
	n := 1
	for _, k := range out[1:] {
		if k != out[n-1] {
			out[n] = k
			n++
		}
	}
	return out[:n]
}

// encodedItem is a NewItem in stored form: the same for every mailbox.
type encodedItem struct {
	*NewItem
	summary []byte
	leaf    *layout.Leaf
	staged  []*content.Staged
	size    int64
	msgID   string
	conv    []byte
	each    int              // at most so many octets of a batch for every copy
	shared  int              // at most so many for all together
	lazy    map[mapi.Tag]any // what Origin.Lazy gave
}

// rowsOfItem is an estimate on the safe side of what the keys, states, log
// entries, counts and indexes of one item take in a batch.
const rowsOfItem = 3 << 9

func (n *NewItem) encode() (*encodedItem, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	e := &encodedItem{NewItem: n, msgID: n.Summary.Props.Text(mapi.TagInternetMessageID), conv: n.Summary.Props.Binary(mapi.TagConversationID)}
	ok := true
	if e.summary, ok = n.Summary.Encode(nil); !ok {
		return nil, model.E("store.append", model.KindInvalid, "summary property", nil)
	}
	var err error
	if e.leaf, err = n.leaf(&e.staged, 0); err != nil {
		return nil, err
	}
	e.size = itemSize(e.leaf, len(e.summary))
	if len(e.summary) > kv.MaxValue {
		return nil, model.E("store.append", model.KindTooLarge, "properties", nil)
	}
	f := &e.Foreign
	e.each = rowsOfItem + len(e.summary) + e.leaf.Weight + len(f.SourceKey) + len(f.ChangeKey) + len(f.PCL) + 4*len(f.Href)
	for _, k := range e.Keywords {
		e.each += len(k)
	}
	for _, st := range e.staged {
		e.shared += st.Weight()
	}
	if e.each+e.shared > maxDeliveryBatch {
		return nil, model.E("store.append", model.KindTooLarge, "properties", nil)
	}
	return e, nil
}

// addContent writes the streams of the item into the batch, once per batch.
func (e *encodedItem) addContent(b kv.Batch) {
	for _, st := range e.staged {
		st.AddTo(b)
	}
}

// insert puts an item into a folder. It fails before it writes anything or not
// at all, so that other recipients of the batch are not harmed.
func (t *txn) insert(folder FolderID, e *encodedItem) (*State, error) {
	if _, err := t.folder(folder); err != nil {
		return nil, err
	}
	if e.MID != 0 {
		if err := t.reserved(e.MID); err != nil {
			return nil, err
		}
	}
	space := Normal
	switch {
	case e.Recoverable:
		space = Deleted
	case e.Associated:
		space = Associated
	}
	var n UID
	if space == Normal {
		var err error
		if n, err = t.nextUID(folder); err != nil {
			return nil, err
		}
	}
	id := t.nextID()
	seq := t.nextSeq()
	s := &State{
		Flags: e.Flags & layout.FlagsKnown, Seq: seq, CN: CN{Replica: 1, Counter: uint64(seq)}, ReadCN: CN{Replica: 1, Counter: uint64(seq)}, Created: seq,
		Row: RowID(id), OID: OID(id), MID: MID(id), Size: e.size, Time: e.Time, Keywords: sortedKeywords(e.Keywords), Creator: e.Creator,
	}
	if e.MID != 0 {
		s.MID = e.MID
	}
	if e.CN != (CN{}) {
		s.CN = e.CN
	}
	if s.Time.IsZero() {
		s.Time = t.now
	}
	s.Place = Place{Folder: folder, Space: space, N: id}
	if space == Normal {
		s.Place.N = uint64(n)
	}
	if len(e.leaf.Attach) > 0 {
		s.Flags |= HasAttachments
	}
	s.Foreign, s.Modified = e.Foreign, e.Modified
	t.putRows(s, e.summary)
	t.putLeaf(s.Row, e.leaf)
	t.putIndexes(s, e.msgID, e.conv)
	if space == Deleted {
		s.Deleted = t.now
		t.putRows(s, e.summary)
		layout.LogDeleted(t.b, t.m.num, s, e.Summary.Props.Text(mapi.TagMessageClass))
	} else {
		layout.LogItem(t.b, t.m.num, nil, s, 0)
	}
	return s, t.count(s, 1)
}

func (t *txn) putRows(s *State, summary []byte) { layout.PutRows(t.b, t.m.num, s, summary) }

func (t *txn) putIndexes(s *State, msgID string, conv []byte) {
	layout.PutIndexes(t.b, t.m.num, s, msgID, conv)
}

func (t *txn) dropIndexes(s *State, msgID string, conv []byte) {
	layout.DropIndexes(t.b, t.m.num, s, msgID, conv)
}
