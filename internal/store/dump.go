package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// DumpQuery says which rows of a database are shown: the narrowest of what is
// given.
type DumpQuery struct {
	Mailbox model.GUID
	Folder  FolderID // with Mailbox: its rows, those of its items too
	Item    OID      // with Mailbox: all rows of an item
	Prefix  []byte   // keys that begin so
	From    []byte   // Dumped.Next
	Limit   int      // most rows; 0: 500
	Full    bool     // whole values, not a screenful
	Content bool     // octets of content too
}

// DumpRow is a row as people read it.
type DumpRow struct {
	Key   string `json:"key"`   // in hexadecimal
	Space string `json:"space"` // what kind of row it is
	Value string `json:"value"`
}

// Dumped is a part of a dump. Next is where it goes on, nil at the end.
type Dumped struct {
	Rows []DumpRow `json:"rows"`
	Next []byte    `json:"next,omitempty"`
}

// screenful is the most of a value that is shown unless all is asked for.
const screenful = 1600

// Dump shows rows of the database.
func (d *Database) Dump(ctx context.Context, q DumpQuery) (*Dumped, error) {
	if q.Limit <= 0 || q.Limit > 5000 {
		q.Limit = 500
	}
	prefixes, err := d.dumpPrefixes(ctx, &q)
	if err != nil {
		return nil, wrap("store.dump", d.opt.Name, err)
	}
	out := &Dumped{Rows: []DumpRow{}}
	for _, p := range prefixes {
		end := prefixEnd(p)
		if q.From != nil && end != nil && string(q.From) >= string(end) {
			continue
		}
		lower := p
		if string(q.From) > string(p) {
			lower = q.From
		}
		it := d.kv.Scan(ctx, kv.Range{Lower: lower, Upper: end, Limit: q.Limit - len(out.Rows) + 1})
		for it.Next() {
			if len(out.Rows) == q.Limit {
				out.Next = slices.Clone(it.Key())
				break
			}
			out.Rows = append(out.Rows, describe(it.Key(), it.Value(), q.Full, q.Content))
		}
		if err := it.Close(); err != nil || out.Next != nil {
			return out, wrap("store.dump", d.opt.Name, err)
		}
	}
	return out, nil
}

// dumpPrefixes returns the prefixes of the rows to show, ascending.
func (d *Database) dumpPrefixes(ctx context.Context, q *DumpQuery) ([][]byte, error) {
	if q.Prefix != nil || q.Mailbox.IsZero() {
		return [][]byte{q.Prefix}, nil
	}
	v, err := d.kv.Get(ctx, mailboxDirKey(q.Mailbox))
	m, ok := decodeDirEntry(v)
	switch {
	case err != nil || !ok:
		return nil, model.E("store.dump", model.KindNotFound, "mailbox "+q.Mailbox.String(), err)
	case q.Item != 0:
		v, err := d.kv.Get(ctx, m.id(subByOID, uint64(q.Item)))
		if err != nil {
			return nil, err
		}
		p, err := decodePlace(v)
		if err != nil {
			return nil, err
		}
		var s State
		if v, err = d.kv.Get(ctx, m.place(subState, p)); err == nil {
			err = s.decode(p, v)
		}
		row := uint64(s.Row)
		return [][]byte{m.place(subState, p), m.place(subSummary, p), m.id(subBag, row), m.id(subRecipients, row), m.id(subAttachment, row),
			m.id(subStream, row), m.id(subByOID, uint64(s.OID)), m.id(subByMID, uint64(s.MID)), m.logKey(s.Seq, ChangeItem),
			m.folderSeq(p.Folder, s.Seq), m.id(subFrozen, row)}, err
	case q.Folder != 0:
		var out [][]byte
		for _, sub := range []byte{subFolder, subCounts, subState, subSummary, subBag, subByTime, subFolderLog, subHorizon, subPermissions, subSearch, subRule} {
			out = append(out, m.id(sub, uint64(q.Folder)))
		}
		return out, nil
	}
	return [][]byte{m.key(0)[:5]}, nil
}

func spaceName(b byte) string {
	return map[byte]string{0x01: "fact", 0x02: "mailbox directory", 0x03: "content", 0x04: "content by hash", 0x05: "reference", 0x06: "chunk",
		0x07: "segment record", 0x08: "outbox", 0x09: "delivered", 0x0a: "candidate"}[b]
}

func subName(b byte) string {
	return map[byte]string{subHeader: "header", subCounters: "counters", subReplica: "replica", subNamedProp: "named property", subPropByName: "property by name",
		subFolder: "folder", subCounts: "counts", subFolderName: "folder by name", subState: "state", subSummary: "summary", subBag: "properties",
		subRecipients: "recipients", subAttachment: "attachment", subStream: "stream", subByOID: "by OID", subByMID: "by MID", subBySourceKey: "by source key",
		subByMessageID: "by Message-ID", subConversation: "by conversation", subByTime: "by time", subLog: "log", subFolderLog: "folder log",
		subHorizon: "horizon", subDevice: "device", subStaging: "staging", subReadState: "read state", subPermissions: "permissions", subReceive: "receive folder",
		subSearch: "search folder", subRule: "rule", subFrozen: "rendering", subOOFSent: "out of office sent", subReservedMID: "reserved ids",
		subReplicaLog: "replica log", subDerived: "derived", subSettings: "settings"}[b]
}

// describe shows a row. Damaged ones are shown as octets.
func describe(k, v []byte, full, octets bool) DumpRow {
	r := DumpRow{Key: hex.EncodeToString(k), Space: spaceName(k[0])}
	var text string
	var ok bool
	if k[0] == spaceMailbox && len(k) >= 6 {
		m := binary.BigEndian.Uint32(k[1:])
		r.Space = fmt.Sprintf("mailbox %d %s", m, subName(k[5]))
		text, ok = describeBox(k, v)
	} else {
		text, ok = describeFact(k, v, octets)
	}
	if !ok {
		text = fmt.Sprintf("%d octets: %x", len(v), v)
	}
	if !full && len(text) > screenful {
		text = fmt.Sprintf("%s … (%d more)", text[:screenful], len(text)-screenful)
	}
	r.Value = text
	return r
}

func describeFact(k, v []byte, octets bool) (string, bool) {
	switch {
	case k[0] == spaceFact:
		return fmt.Sprintf("%s = %x", k[1:], v), true
	case k[0] == spaceMailboxDir && len(k) == 17:
		n, ok := decodeDirEntry(v)
		return fmt.Sprintf("%s is mailbox %d", model.GUID(k[1:]), n), ok
	case k[0] >= content.FirstSpace && k[0] <= content.LastSpace:
		return content.Describe(k, v, octets)
	}
	return "", false
}

// described is text of a decoded row unless decoding failed.
func described(v any, err error) (string, bool) { return fmt.Sprintf("%+v", v), err == nil }

func describeBox(k, v []byte) (string, bool) {
	rest := k[6:]
	switch sub := k[5]; sub {
	case subHeader:
		var h Header
		return described(&h, h.decode(v))
	case subCounters:
		var c counters
		err := c.decode(v)
		return fmt.Sprintf("seq %d, id %d, UIDVALIDITY %d", c.seq, c.id, c.validity), err == nil
	case subNamedProp:
		return described(decodeName(v))
	case subFolder:
		if len(rest) == 6 {
			return described(decodeFolder(FolderID(get48(rest)), v))
		}
	case subCounts:
		var c Counts
		return described(&c, c.decode(v))
	case subState:
		var s State
		if p, ok := parsePlace(k); ok {
			return described(&s, s.decode(p, v))
		}
	case subSummary:
		env, enc, err := splitSummary(v)
		if err != nil {
			return "", false
		}
		p, err := mapi.DecodeProperties(enc)
		return fmt.Sprintf("%v, envelope of %d octets", p, len(env)), err == nil
	case subBag:
		return described(decodeBag(v))
	case subRecipients:
		return described(decodeRecipients([][]byte{v}))
	case subAttachment:
		a, err := decodeAttachment(k, 12, v)
		if err != nil {
			return "", false
		}
		p, err := mapi.DecodeProperties(a.props)
		return fmt.Sprintf("number %d, content %d, size %d, embedded %d, %v", a.number, a.content, a.size, a.child, p), err == nil
	case subStream:
		var s Stream
		err := s.decode(v)
		return fmt.Sprintf("truth %d, content %d of %d octets, evidence %d, structure of %d octets, trace %q", s.Truth, s.Content, s.Size, s.Evidence,
			len(s.Structure), s.Trace), err == nil
	case subByOID, subByMID, subBySourceKey:
		return described(decodePlace(v))
	case subLog, subFolderLog:
		n := 6
		if sub == subFolderLog {
			n = 12
		}
		if seq, ok := parseLogSeq(k, n); ok {
			return described(decodeChange(seq, v))
		}
	case subFolderName, subReceive:
		if len(v) == 7 {
			return fmt.Sprintf("%q: folder %d", rest, get48(v[1:])), true
		}
	case subPermissions:
		a, err := decodeACL(v)
		if err != nil {
			return "", false
		}
		return fmt.Sprintf("%+v", a.entries), true
	case subFrozen:
		r, err := decodeRendering(v)
		if err != nil {
			return "", false
		}
		return fmt.Sprintf("content %d of %d octets", r.Stream.Content, r.Stream.Size), true
	}
	return "", len(v) == 0
}
