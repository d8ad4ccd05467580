package store

import (
	"context"
	"encoding/binary"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// leaf is all that hangs on a row id: property bag, recipients, stream and
// attachments, with the leaves of embedded messages. In a leaf there are no row
// ids, so it can be written under any.
type leaf struct {
	bag    []byte
	recips [][]byte // rows of the recipients table, none over kv.MaxValue
	stream []byte
	attach []leafAttachment
	truth  Truth
	ids    []content.ID // what these rows refer to, those of embedded messages apart
	size   int64        // octets, for quotas
	weight int          // octets of a batch
}

// leafAttachment is an attachment row before it has an embedded row id.
type leafAttachment struct {
	number   uint32
	content  content.ID
	size     int64  // of the content or the embedded message
	props    []byte // encoded
	child    RowID  // of the embedded message as it is stored; 0: none
	embedded *leaf  // the embedded message itself, for writing
}

const (
	bagVersion = 1
	bagStreams = 2 // with properties that are streams
	// attachmentLong is the version of rows with size and embedded message.
	attachmentLong = 2
	// recipientRow is when the recipients table goes on in another row.
	recipientRow = 128 << 10
)

// leaf encodes the item's rows; staged gathers what they refer to.
func (n *NewItem) leaf(staged *[]*content.Staged, depth int) (*leaf, error) {
	if depth > maxEmbedded {
		return nil, model.E("store.append", model.KindTooLarge, "embedded messages", nil)
	}
	l := &leaf{}
	refer := func(st *content.Staged) content.ID {
		*staged = append(*staged, st)
		l.ids = append(l.ids, st.ID)
		l.size += st.Size
		return st.ID
	}
	s := Stream{Truth: n.Truth, Trace: n.Trace, Structure: n.Structure}
	if n.Content != nil {
		s.Content, s.Size = refer(n.Content), n.Content.Size
	}
	if s.Truth == 0 {
		s.Truth = TruthMAPI
		if n.Content != nil {
			s.Truth = TruthMIME
		}
	}
	l.stream, l.truth = s.encode(nil), s.Truth
	var streams []StreamRef
	for _, v := range n.Streams {
		streams = append(streams, StreamRef{v.Tag, refer(v.Content), v.Content.Size})
	}
	var err error
	if l.bag, err = encodeBag(n.Props, streams); err != nil {
		return nil, err
	}
	if l.recips, err = encodeRecipients(n.Recipients); err != nil {
		return nil, err
	}
	for i := range n.Attachments {
		a := &n.Attachments[i]
		at, err := a.leaf(staged, refer, uint32(i), depth)
		if err != nil {
			return nil, err
		}
		if at.embedded != nil {
			l.size += at.embedded.size
		}
		l.attach = append(l.attach, at)
	}
	return l, l.weigh()
}

func (a *Attachment) leaf(staged *[]*content.Staged, refer func(*content.Staged) content.ID, n uint32, depth int) (at leafAttachment, err error) {
	at.number = n
	if a.Content != nil {
		at.content, at.size = refer(a.Content), a.Content.Size
	}
	ok := true
	if at.props, ok = mapi.AppendProperties(nil, a.Props); !ok {
		return at, model.E("store.append", model.KindInvalid, "attachment property", nil)
	}
	if a.Embedded != nil {
		if err := a.Embedded.check(); err != nil {
			return at, err
		}
		if at.embedded, err = a.Embedded.leaf(staged, depth+1); err == nil {
			at.size = at.embedded.size
		}
	}
	return at, err
}

// weigh adds the leaf up and checks the size of its rows.
func (l *leaf) weigh() error {
	rows := append([][]byte{l.bag, l.stream}, l.recips...)
	for _, a := range l.attach {
		rows = append(rows, a.props)
		if a.embedded != nil {
			l.weight += a.embedded.weight
		}
	}
	for _, v := range rows {
		if len(v) > kv.MaxValue-64 {
			return model.E("store.append", model.KindTooLarge, "properties", nil)
		}
		l.size += int64(len(v))
		l.weight += len(v) + 64
	}
	l.weight += 64 * len(l.ids)
	return nil
}

// encodeBag returns the row of a property bag, nil if it is empty.
func encodeBag(p mapi.Properties, streams []StreamRef) ([]byte, error) {
	if len(p) == 0 && len(streams) == 0 {
		return nil, nil
	}
	b, ok := mapi.AppendProperties(appendBag(streams, nil), p)
	if !ok {
		return nil, model.E("store.append", model.KindInvalid, "property", nil)
	}
	return b, nil
}

// appendBag returns a bag row of streams and encoded properties.
func appendBag(streams []StreamRef, props []byte) []byte {
	b := []byte{bagVersion}
	if len(streams) > 0 {
		b = binary.AppendUvarint([]byte{bagStreams}, uint64(len(streams)))
		for _, s := range streams {
			b = binary.BigEndian.AppendUint32(b, uint32(s.Tag))
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.Content)), uint64(s.Size))
		}
	}
	return append(b, props...)
}

// bagProps returns the encoded properties of a bag row, which point into it.
func bagProps(v []byte) ([]byte, error) {
	_, props, err := splitBag(v)
	return props, err
}

func decodeBag(v []byte) (b Bag, err error) {
	if v == nil {
		return b, nil
	}
	var props []byte
	if b.Streams, props, err = splitBag(v); err != nil {
		return b, err
	}
	b.Props, err = mapi.DecodeProperties(props)
	return b, err
}

// splitBag reads what is before the properties of a bag row.
func splitBag(v []byte) (streams []StreamRef, props []byte, err error) {
	d := newReader(v)
	switch d.Byte() {
	case bagVersion:
	case bagStreams:
		for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
			streams = append(streams, StreamRef{mapi.Tag(d.Uint32()), content.ID(d.Uvarint()), int64(d.Uvarint())})
		}
	default:
		d.Bad = true
	}
	if d.Bad {
		return nil, nil, corrupt("property bag")
	}
	return streams, d.B, nil
}

// encodeRecipients returns the rows of a recipients table.
func encodeRecipients(rs []mapi.Properties) (rows [][]byte, err error) {
	for len(rs) > 0 {
		var body []byte
		n := 0
		for n < len(rs) && (n == 0 || len(body) < recipientRow) {
			p, ok := mapi.AppendProperties(nil, rs[n])
			if !ok {
				return nil, model.E("store.append", model.KindInvalid, "recipient property", nil)
			}
			body = row.AppendText(body, string(p))
			n++
		}
		rows = append(rows, append(binary.AppendUvarint([]byte{bagVersion}, uint64(n)), body...))
		rs = rs[n:]
	}
	return rows, nil
}

func decodeRecipients(rows [][]byte) (out []mapi.Properties, err error) {
	for _, v := range rows {
		d := newReader(v)
		if d.Byte() != bagVersion {
			d.Bad = true
		}
		for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
			p, err := mapi.DecodeProperties(d.Bytes())
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		if err := d.err("recipients"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recipientKey is the key of the nth row of a recipients table.
func (m number) recipientKey(r RowID, n int) []byte {
	k := m.id(subRecipients, uint64(r))
	if n > 0 {
		k = binary.BigEndian.AppendUint16(k, uint16(n))
	}
	return k
}

func (t *txn) putLeaf(at RowID, l *leaf) { putLeaf(t.b, t.m.num, at, l, t.nextID) }

// putLeaf writes a leaf under a row id; embedded messages get the next ids.
func putLeaf(b kv.Batch, m number, at RowID, l *leaf, next func() uint64) {
	if l.bag != nil {
		b.Set(m.id(subBag, uint64(at)), l.bag)
	}
	for i, v := range l.recips {
		b.Set(m.recipientKey(at, i), v)
	}
	b.Set(m.id(subStream, uint64(at)), l.stream)
	for _, a := range l.attach {
		child := a.child
		if a.embedded != nil {
			child = RowID(next())
			putLeaf(b, m, child, a.embedded, next)
		}
		b.Set(m.attachment(at, a.number), a.encode(child))
	}
	for _, id := range l.ids {
		content.AddRef(b, id, uint32(m), uint64(at))
	}
}

// dropLeaf removes the rows and references under a row id. l is what readLeaf
// found there; the leaves of embedded messages are read from r.
func (t *txn) dropLeaf(r kv.Reader, at RowID, l *leaf, depth int) error {
	m := t.m.num
	t.b.Delete(m.id(subBag, uint64(at)))
	for i := range l.recips {
		t.b.Delete(m.recipientKey(at, i))
	}
	t.b.Delete(m.id(subStream, uint64(at)))
	for _, a := range l.attach {
		t.b.Delete(m.attachment(at, a.number))
	}
	for _, id := range l.ids {
		t.m.db.content.DropRef(t.b, id, uint32(m), uint64(at))
	}
	for _, a := range l.attach {
		if a.child == 0 {
			continue
		}
		if depth > maxEmbedded {
			return corrupt("embedded messages")
		}
		c, err := readLeaf(t.ctx, r, m, a.child)
		if err != nil {
			return err
		}
		if err := t.dropLeaf(r, a.child, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leafKeys are the keys whose values makeLeaf takes.
func (m number) leafKeys(at RowID) [][]byte {
	return [][]byte{m.id(subBag, uint64(at)), m.id(subRecipients, uint64(at)), m.id(subStream, uint64(at))}
}

// readLeaf reads the rows under a row id, those of embedded messages apart.
func readLeaf(ctx context.Context, r kv.Reader, m number, at RowID) (*leaf, error) {
	vals, err := r.GetMany(ctx, m.leafKeys(at))
	if err != nil {
		return nil, wrap("store.read", "item", err)
	}
	return makeLeaf(ctx, r, m, at, vals, true)
}

// makeLeaf completes a leaf whose first rows were read.
func makeLeaf(ctx context.Context, r kv.Reader, m number, at RowID, vals [][]byte, attached bool) (*leaf, error) {
	l := &leaf{bag: vals[0], stream: vals[2]}
	var err error
	if l.recips, err = moreRecipients(ctx, r, m, at, vals[1]); err != nil {
		return nil, err
	}
	if attached {
		if err := l.readAttachments(ctx, r, m, at); err != nil {
			return nil, err
		}
	}
	return l, l.refer()
}

// moreRecipients completes a recipients table whose first row is given.
func moreRecipients(ctx context.Context, r kv.Reader, m number, at RowID, first []byte) ([][]byte, error) {
	if first == nil {
		return nil, nil
	}
	rows := [][]byte{first}
	if len(first) < recipientRow {
		return rows, nil
	}
	it := r.Scan(ctx, kv.Range{Lower: m.recipientKey(at, 1), Upper: prefixEnd(m.id(subRecipients, uint64(at)))})
	for it.Next() {
		rows = append(rows, slices.Clone(it.Value()))
	}
	return rows, wrap("store.recipients", "item", it.Close())
}

func (l *leaf) readAttachments(ctx context.Context, r kv.Reader, m number, at RowID) error {
	p := m.id(subAttachment, uint64(at))
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		a, err := decodeAttachment(it.Key(), len(p), it.Value())
		if err != nil {
			it.Close()
			return err
		}
		a.props = slices.Clone(a.props)
		l.attach = append(l.attach, a)
	}
	return wrap("store.attachments", "item", it.Close())
}

// encode returns the row of an attachment whose embedded message is under child.
func (a *leafAttachment) encode(child RowID) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint([]byte{attachmentLong}, uint64(a.content)), uint64(a.size))
	return append(binary.AppendUvarint(b, uint64(child)), a.props...)
}

// decodeAttachment reads an attachment row, whose properties point into v. Its
// number follows n octets of key.
func decodeAttachment(key []byte, n int, v []byte) (a leafAttachment, err error) {
	if len(key) != n+4 {
		return a, corrupt("attachment key")
	}
	a.number = binary.BigEndian.Uint32(key[n:])
	d := newReader(v)
	switch d.Byte() {
	case bagVersion:
		a.content = content.ID(d.Uvarint())
	case attachmentLong:
		a.content, a.size, a.child = content.ID(d.Uvarint()), int64(d.Uvarint()), RowID(d.Uvarint())
	default:
		d.Bad = true
	}
	if d.Bad {
		return a, corrupt("attachment")
	}
	a.props = d.B
	return a, nil
}

// refer lists what the rows refer to.
func (l *leaf) refer() error {
	var st Stream
	if err := st.decode(l.stream); err != nil {
		return err
	}
	l.truth, l.ids = st.Truth, st.contents()
	if len(l.bag) > 0 && l.bag[0] == bagStreams {
		b, err := decodeBag(l.bag)
		if err != nil {
			return err
		}
		for _, s := range b.Streams {
			l.ids = append(l.ids, s.Content)
		}
	}
	for _, a := range l.attach {
		if a.content != 0 {
			l.ids = append(l.ids, a.content)
		}
	}
	return nil
}

// grow reads the leaves of embedded messages, so that l can be copied.
func (l *leaf) grow(ctx context.Context, r kv.Reader, m number, depth int) error {
	for i := range l.attach {
		a := &l.attach[i]
		if a.child == 0 {
			continue
		}
		if depth > maxEmbedded {
			return corrupt("embedded messages")
		}
		var err error
		if a.embedded, err = readLeaf(ctx, r, m, a.child); err != nil {
			return err
		}
		if err := a.embedded.grow(ctx, r, m, depth+1); err != nil {
			return err
		}
	}
	return l.weigh()
}
