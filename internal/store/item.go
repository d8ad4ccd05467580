package store

import (
	"encoding/binary"
	"sort"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// NewItem is a message on its way in. The store does not change it, so one
// NewItem may be delivered to many mailboxes.
type NewItem struct {
	// Content is the stream of an item that came as MIME; nil for one made of
	// properties. It stays the caller's to Release.
	Content     *content.Staged
	Trace       []byte // header lines that belong to this copy alone, with their CRLFs
	Structure   []byte // parsed form of Content; opaque
	Summary     Summary
	Props       mapi.Properties // beyond the summary
	Recipients  []mapi.Properties
	Attachments []Attachment
	Flags       Flags
	Keywords    []string
	Time        time.Time // of delivery; zero: now
	Associated  bool
	Creator     []byte // SID of who made it; nil for mail from outside
}

// Attachment is a file of an item made of properties.
type Attachment struct {
	Props   mapi.Properties
	Content *content.Staged // nil: the data is in Props
}

// Limits of an item.
const (
	maxRecipients  = 10000
	maxAttachments = 1000
	maxSID         = 68 // octets (MS-DTYP 2.4.2)
)

// check refuses what could not be stored, before anything is.
func (n *NewItem) check() error {
	bad := func(what string) error { return model.E("store.append", model.KindTooLarge, what, nil) }
	switch {
	case len(n.Recipients) > maxRecipients:
		return bad("recipients")
	case len(n.Creator) > maxSID:
		return bad("SID")
	case len(n.Attachments) > maxAttachments:
		return bad("attachments")
	case len(n.Trace)+len(n.Structure) > kv.MaxValue-1024-maxTrace:
		return bad("structure")
	case len(n.Summary.Envelope) > kv.MaxValue/2:
		return bad("envelope")
	}
	return checkKeywords(n.Keywords)
}

func checkKeywords(ks []string) error {
	if len(ks) > maxKeywords {
		return model.E("store.keywords", model.KindTooLarge, "too many keywords", nil)
	}
	for _, k := range ks {
		if k == "" || len(k) > maxKeywordSize {
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
	bag     []byte
	recips  []byte
	stream  []byte
	attach  [][]byte
	size    int64
	msgID   string
	conv    []byte
	each    int // at most so many octets of a batch for every copy
	shared  int // at most so many for all together
}

// rowsOfItem is an estimate on the safe side of what the keys, states, log
// entries, counts and indexes of one item take in a batch.
const rowsOfItem = 4 << 10

func (n *NewItem) encode() (*encodedItem, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	e := &encodedItem{NewItem: n, msgID: n.Summary.Props.Text(mapi.TagInternetMessageID), conv: n.Summary.Props.Binary(mapi.TagConversationID)}
	ok := true
	if e.summary, ok = n.Summary.encode(nil); !ok {
		return nil, model.E("store.append", model.KindInvalid, "summary property", nil)
	}
	if len(n.Props) > 0 {
		if e.bag, ok = mapi.AppendProperties([]byte{bagVersion}, n.Props); !ok {
			return nil, model.E("store.append", model.KindInvalid, "property", nil)
		}
	}
	if len(n.Recipients) > 0 {
		e.recips = binary.AppendUvarint([]byte{bagVersion}, uint64(len(n.Recipients)))
		for _, r := range n.Recipients {
			p, good := mapi.AppendProperties(nil, r)
			if !good {
				return nil, model.E("store.append", model.KindInvalid, "recipient property", nil)
			}
			e.recips = row.AppendText(e.recips, string(p))
		}
	}
	s := Stream{Truth: TruthMAPI, Trace: n.Trace, Structure: n.Structure}
	e.size = int64(len(e.summary) + len(e.bag) + len(e.recips))
	if n.Content != nil {
		s.Truth, s.Content, s.Size = TruthMIME, n.Content.ID, n.Content.Size
		e.size = s.Size + int64(len(n.Trace))
	}
	for _, a := range n.Attachments {
		if a.Content != nil {
			e.size += a.Content.Size
		}
	}
	e.stream = s.encode(nil)
	for _, a := range n.Attachments {
		v, good := a.encode()
		if !good {
			return nil, model.E("store.append", model.KindInvalid, "attachment property", nil)
		}
		e.attach = append(e.attach, v)
	}
	for _, v := range append([][]byte{e.summary, e.bag, e.recips, e.stream}, e.attach...) {
		if len(v) > kv.MaxValue {
			return nil, model.E("store.append", model.KindTooLarge, "properties", nil)
		}
	}
	e.weigh()
	if e.each+e.shared > maxDeliveryBatch {
		return nil, model.E("store.append", model.KindTooLarge, "properties", nil)
	}
	return e, nil
}

// weigh estimates what the item takes of a batch.
func (e *encodedItem) weigh() {
	e.each = rowsOfItem + len(e.summary) + len(e.bag) + len(e.recips) + len(e.stream)
	for _, k := range e.Keywords {
		e.each += len(k)
	}
	if e.Content != nil {
		e.shared += e.Content.Weight()
	}
	for i, a := range e.Attachments {
		e.each += len(e.attach[i]) + 64
		if a.Content != nil {
			e.shared += a.Content.Weight()
		}
	}
}

const bagVersion = 1

// addContent writes the streams of the item into the batch, once per batch.
func (e *encodedItem) addContent(b kv.Batch) {
	if e.Content != nil {
		e.Content.AddTo(b)
	}
	for _, a := range e.Attachments {
		if a.Content != nil {
			a.Content.AddTo(b)
		}
	}
}

// insert puts an item into a folder. It fails before it writes anything or not
// at all, so that other recipients of the batch are not harmed.
func (t *txn) insert(folder FolderID, e *encodedItem) (*State, error) {
	if _, err := t.folder(folder); err != nil {
		return nil, err
	}
	var n UID
	if !e.Associated {
		var err error
		if n, err = t.nextUID(folder); err != nil {
			return nil, err
		}
	}
	id := t.nextID()
	seq := t.nextSeq()
	s := &State{
		Flags: e.Flags & flagsKnown, Seq: seq, CN: CN{1, uint64(seq)}, ReadCN: CN{1, uint64(seq)}, Created: seq,
		Row: RowID(id), OID: OID(id), MID: MID(id), Size: e.size, Time: e.Time, Keywords: sortedKeywords(e.Keywords), Creator: e.Creator,
	}
	if s.Time.IsZero() {
		s.Time = t.now
	}
	s.Place = Place{folder, Associated, id}
	if !e.Associated {
		s.Place = Place{folder, Normal, uint64(n)}
	}
	if len(e.attach) > 0 {
		s.Flags |= HasAttachments
	}
	m, row := t.m.num, uint64(id)
	t.putRows(s, e.summary)
	if e.bag != nil {
		t.b.Set(m.id(subBag, row), e.bag)
	}
	if e.recips != nil {
		t.b.Set(m.id(subRecipients, row), e.recips)
	}
	t.b.Set(m.id(subStream, row), e.stream)
	if e.Content != nil {
		content.AddRef(t.b, e.Content.ID, uint32(m), row)
	}
	for i, a := range e.Attachments {
		t.b.Set(m.attachment(s.Row, uint32(i)), e.attach[i])
		if a.Content != nil {
			content.AddRef(t.b, a.Content.ID, uint32(m), row)
		}
	}
	t.putIndexes(s, e.msgID, e.conv)
	logItem(t.b, m, nil, s, 0)
	return s, t.count(s, 1)
}

// putRows writes the two rows of an item where it is.
func (t *txn) putRows(s *State, summary []byte) {
	t.b.Set(t.m.num.place(subState, s.Place), s.encode(make([]byte, 0, 64)))
	t.b.Set(t.m.num.place(subSummary, s.Place), summary)
}

// encode returns the row of an attachment: the content id, 0 if the data is in
// the properties, then those.
func (a *Attachment) encode() ([]byte, bool) {
	var id uint64
	if a.Content != nil {
		id = uint64(a.Content.ID)
	}
	return mapi.AppendProperties(binary.AppendUvarint([]byte{bagVersion}, id), a.Props)
}

// putIndexes writes what finds the item by its names.
func (t *txn) putIndexes(s *State, msgID string, conv []byte) {
	m, place := t.m.num, encodePlace(s.Place)
	t.b.Set(m.id(subByOID, uint64(s.OID)), place)
	t.b.Set(m.id(subByMID, uint64(s.MID)), place)
	if msgID != "" {
		t.b.Set(m.hashed(subByMessageID, messageIDHash(msgID), uint64(s.OID)), nil)
	}
	if len(conv) == 16 {
		t.b.Set(m.hashed(subConversation, [16]byte(conv), uint64(s.OID)), nil)
	}
	if s.Place.Space == Normal {
		t.b.Set(m.byTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID), nil)
	}
}

// dropIndexes removes what putIndexes wrote.
func (t *txn) dropIndexes(s *State, msgID string, conv []byte) {
	m := t.m.num
	t.b.Delete(m.id(subByOID, uint64(s.OID)))
	t.b.Delete(m.id(subByMID, uint64(s.MID)))
	if msgID != "" {
		t.b.Delete(m.hashed(subByMessageID, messageIDHash(msgID), uint64(s.OID)))
	}
	if len(conv) == 16 {
		t.b.Delete(m.hashed(subConversation, [16]byte(conv), uint64(s.OID)))
	}
	if s.Place.Space == Normal {
		t.b.Delete(m.byTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID))
	}
}
