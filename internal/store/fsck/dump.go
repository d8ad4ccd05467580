package fsck

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
	"rialto/internal/store/layout"
)

// DumpQuery says which rows of a database are shown: the narrowest of what is
// given.
type DumpQuery struct {
	Mailbox model.GUID
	Folder  layout.FolderID // with Mailbox: its rows, those of its items too
	Item    layout.OID      // with Mailbox: all rows of an item
	Prefix  []byte          // keys that begin so
	From    []byte          // Dumped.Next
	Limit   int             // most rows; 0: 500
	Full    bool            // whole values, not a screenful
	Content bool            // octets of content too
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
func Dump(ctx context.Context, d *Database, q DumpQuery) (*Dumped, error) {
	if q.Limit <= 0 || q.Limit > 5000 {
		q.Limit = 500
	}
	prefixes, err := dumpPrefixes(ctx, d.KV, &q)
	if err != nil {
		return nil, content.Wrap("store.dump", d.Name, err)
	}
	out := &Dumped{Rows: []DumpRow{}}
	for _, p := range prefixes {
		end := layout.PrefixEnd(p)
		if q.From != nil && end != nil && string(q.From) >= string(end) {
			continue
		}
		lower := p
		if string(q.From) > string(p) {
			lower = q.From
		}
		it := d.KV.Scan(ctx, kv.Range{Lower: lower, Upper: end, Limit: q.Limit - len(out.Rows) + 1})
		for it.Next() {
			if len(out.Rows) == q.Limit {
				out.Next = slices.Clone(it.Key())
				break
			}
			out.Rows = append(out.Rows, describe(it.Key(), it.Value(), q.Full, q.Content))
		}
		if err := it.Close(); err != nil || out.Next != nil {
			return out, content.Wrap("store.dump", d.Name, err)
		}
	}
	return out, nil
}

// dumpPrefixes returns the prefixes of the rows to show, ascending.
func dumpPrefixes(ctx context.Context, r kv.Reader, q *DumpQuery) ([][]byte, error) {
	if q.Prefix != nil || q.Mailbox.IsZero() {
		return [][]byte{q.Prefix}, nil
	}
	v, err := r.Get(ctx, layout.MailboxDirKey(q.Mailbox))
	m, ok := layout.DecodeDirEntry(v)
	switch {
	case err != nil || !ok:
		return nil, model.E("store.dump", model.KindNotFound, "mailbox "+q.Mailbox.String(), err)
	case q.Item != 0:
		v, err := r.Get(ctx, m.ID(layout.SubByOID, uint64(q.Item)))
		if err != nil {
			return nil, err
		}
		p, err := layout.DecodePlace(v)
		if err != nil {
			return nil, err
		}
		var s layout.State
		if v, err = r.Get(ctx, m.Place(layout.SubState, p)); err == nil {
			err = s.Decode(p, v)
		}
		row := uint64(s.Row)
		return [][]byte{m.Place(layout.SubState, p), m.Place(layout.SubSummary, p), m.ID(layout.SubBag, row), m.ID(layout.SubRecipients, row), m.ID(layout.SubAttachment, row),
			m.ID(layout.SubStream, row), m.ID(layout.SubByOID, uint64(s.OID)), m.ID(layout.SubByMID, uint64(s.MID)), m.LogKey(s.Seq, layout.ChangeItem),
			m.FolderLogAt(p.Folder, s.Seq), m.ID(layout.SubFrozen, row)}, err
	case q.Folder != 0:
		var out [][]byte
		for _, sub := range []byte{layout.SubFolder, layout.SubCounts, layout.SubState, layout.SubSummary, layout.SubBag, layout.SubByTime, layout.SubFolderLog, layout.SubHorizon, layout.SubPermissions, layout.SubSearch, layout.SubRule} {
			out = append(out, m.ID(sub, uint64(q.Folder)))
		}
		return out, nil
	}
	return [][]byte{m.Key(0)[:5]}, nil
}

func spaceName(b byte) string {
	return map[byte]string{0x01: "fact", 0x02: "mailbox directory", 0x03: "content", 0x04: "content by hash", 0x05: "reference", 0x06: "chunk",
		0x07: "segment record", 0x08: "outbox", 0x09: "delivered", 0x0a: "candidate"}[b]
}

func subName(b byte) string {
	return map[byte]string{layout.SubHeader: "header", layout.SubCounters: "counters", layout.SubReplica: "replica", layout.SubNamedProp: "named property", layout.SubPropByName: "property by name",
		layout.SubFolder: "folder", layout.SubCounts: "counts", layout.SubFolderName: "folder by name", layout.SubState: "state", layout.SubSummary: "summary", layout.SubBag: "properties",
		layout.SubRecipients: "recipients", layout.SubAttachment: "attachment", layout.SubStream: "stream", layout.SubByOID: "by OID", layout.SubByMID: "by MID", layout.SubBySourceKey: "by source key",
		layout.SubByMessageID: "by Message-ID", layout.SubConversation: "by conversation", layout.SubByTime: "by time", layout.SubLog: "log", layout.SubFolderLog: "folder log",
		layout.SubHorizon: "horizon", layout.SubDevice: "device", layout.SubStaging: "staging", layout.SubReadState: "read state", layout.SubPermissions: "permissions", layout.SubReceive: "receive folder",
		layout.SubSearch: "search folder", layout.SubRule: "rule", layout.SubFrozen: "rendering", layout.SubOOFSent: "out of office sent", layout.SubReservedMID: "reserved ids",
		layout.SubReplicaLog: "replica log", layout.SubDerived: "derived", layout.SubSettings: "settings"}[b]
}

// describe shows a row. Damaged ones are shown as octets.
func describe(k, v []byte, full, octets bool) DumpRow {
	r := DumpRow{Key: hex.EncodeToString(k), Space: spaceName(k[0])}
	var text string
	var ok bool
	if k[0] == layout.SpaceMailbox && len(k) >= 6 {
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
	case k[0] == layout.SpaceFact:
		return fmt.Sprintf("%s = %x", k[1:], v), true
	case k[0] == layout.SpaceMailboxDir && len(k) == 17:
		n, ok := layout.DecodeDirEntry(v)
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
	case layout.SubHeader:
		var h layout.Header
		return described(&h, h.Decode(v))
	case layout.SubCounters:
		var c layout.Counters
		err := c.Decode(v)
		return fmt.Sprintf("seq %d, id %d, UIDVALIDITY %d", c.Seq, c.ID, c.Validity), err == nil
	case layout.SubNamedProp:
		return described(layout.DecodeName(v))
	case layout.SubFolder:
		if len(rest) == 6 {
			return described(layout.DecodeFolder(layout.FolderID(layout.Get48(rest)), v))
		}
	case layout.SubCounts:
		var c layout.Counts
		return described(&c, c.Decode(v))
	case layout.SubState:
		var s layout.State
		if p, ok := layout.ParsePlace(k); ok {
			return described(&s, s.Decode(p, v))
		}
	case layout.SubSummary:
		env, enc, err := layout.SplitSummary(v)
		if err != nil {
			return "", false
		}
		p, err := mapi.DecodeProperties(enc)
		return fmt.Sprintf("%v, envelope of %d octets", p, len(env)), err == nil
	case layout.SubBag:
		return described(layout.DecodeBag(v))
	case layout.SubRecipients:
		return described(layout.DecodeRecipients([][]byte{v}))
	case layout.SubAttachment:
		a, err := layout.DecodeAttachment(k, 12, v)
		if err != nil {
			return "", false
		}
		p, err := mapi.DecodeProperties(a.Props)
		return fmt.Sprintf("number %d, content %d, size %d, embedded %d, %v", a.Number, a.Content, a.Size, a.Child, p), err == nil
	case layout.SubStream:
		var s layout.Stream
		err := s.Decode(v)
		return fmt.Sprintf("truth %d, content %d of %d octets, evidence %d, structure of %d octets, trace %q", s.Truth, s.Content, s.Size, s.Evidence,
			len(s.Structure), s.Trace), err == nil
	case layout.SubByOID, layout.SubByMID, layout.SubBySourceKey:
		return described(layout.DecodePlace(v))
	case layout.SubLog, layout.SubFolderLog:
		n := 6
		if sub == layout.SubFolderLog {
			n = 12
		}
		if seq, ok := layout.ParseLogSeq(k, n); ok {
			return described(layout.DecodeChange(seq, v))
		}
	case layout.SubFolderName, layout.SubReceive:
		if len(v) == 7 {
			return fmt.Sprintf("%q: folder %d", rest, layout.Get48(v[1:])), true
		}
	case layout.SubPermissions:
		a, err := layout.DecodeACL(v)
		if err != nil {
			return "", false
		}
		return fmt.Sprintf("%+v", a.Entries), true
	case layout.SubFrozen:
		r, err := layout.DecodeRendering(v)
		if err != nil {
			return "", false
		}
		return fmt.Sprintf("content %d of %d octets", r.Stream.Content, r.Stream.Size), true
	}
	return "", len(v) == 0
}
