package store

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"rialto/internal/model"
)

// FuzzRows reads whatever may stand in a row: never a panic, memory bounded by
// the row, and what is accepted means the same when written again.
func FuzzRows(f *testing.F) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	f.Add((&State{Flags: 5, Seq: 7, CN: CN{1, 7}, Row: 300, OID: 300, MID: 301, Size: 99, Time: now, Keywords: []string{"a", "b"}}).encode(nil))
	sum, _ := (&Summary{Envelope: []byte("env")}).encode(nil)
	f.Add(sum)
	f.Add((&Stream{Truth: TruthMIME, Content: 9, Size: 5, Trace: []byte("t"), Structure: []byte("s")}).encode(nil))
	f.Add((&Folder{Parent: 2, Name: "Inbox", Class: "IPF.Note", UIDValidity: 8, Created: now}).encode())
	f.Add((&Counts{Total: 1, Size: 5, NextUID: 2}).encode())
	f.Add((&Change{Folder: 3, UID: 4, Class: "IPM.Note", Href: "x"}).encode())
	f.Add((&counters{validity: 9}).encode(1024, 2048))
	f.Add((&Header{GUID: model.GUID{1}, Incarnation: 1, DisplayName: "a", Created: now}).encode())
	f.Add(encodePlace(Place{3, Normal, 9}))
	f.Add(encodeTimed(9))
	f.Add((&Maintenance{Began: now, After: model.GUID{2}, Items: 300, Octets: 1 << 40}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		var mt, mt2 Maintenance
		if mt.decode(b) == nil && (mt2.decode(mt.encode()) != nil || !bytes.Equal(mt.encode(), mt2.encode())) {
			t.Errorf("maintenance %+v", mt)
		}
		var s, s2 State
		if s.decode(Place{}, b) == nil && (s2.decode(Place{}, s.encode(nil)) != nil || !bytes.Equal(s.encode(nil), s2.encode(nil))) {
			t.Errorf("state %+v", s)
		}
		if env, _, err := splitSummary(b); err == nil && len(env) > len(b) {
			t.Error("summary")
		}
		var st, st2 Stream
		if st.decode(b) == nil && (st2.decode(st.encode(nil)) != nil || !bytes.Equal(st.encode(nil), st2.encode(nil))) {
			t.Errorf("stream %+v", st)
		}
		if fo, err := decodeFolder(1, b); err == nil {
			if fo2, err := decodeFolder(1, fo.encode()); err != nil || !bytes.Equal(fo.encode(), fo2.encode()) {
				t.Errorf("folder %+v", fo)
			}
		}
		var c, c2 Counts
		if c.decode(b) == nil && (c2.decode(c.encode()) != nil || c != c2) {
			t.Errorf("counts %+v", c)
		}
		if ch, err := decodeChange(1, b); err == nil {
			if ch2, err := decodeChange(1, append([]byte{byte(ch.Kind)}, ch.encode()...)); err != nil || ch != ch2 {
				t.Errorf("change %+v", ch)
			}
		}
		var k counters
		var h Header
		_, _, _ = k.decode(b), h.decode(b), decodeDelivered(b)
		_, _ = decodePlace(b)
		if u, err := decodeTimed(b); err == nil && u != 0 && !bytes.Equal(encodeTimed(u), b) {
			t.Errorf("delivery time %d", u)
		}
		_, _ = decodeDirEntry(b)
		_, _ = parsePlace(b)
		it := &fullItem{state: &State{}, summary: b}
		_ = it.interpret() // any answer will do
		_ = (&leaf{bag: b, stream: b}).refer()
		_, _ = decodeAttachment([]byte{0, 0, 0, 1}, 0, b)
		_, _ = decodeRecipients([][]byte{b, b})
		if bag, err := decodeBag(b); err == nil {
			enc, err := encodeBag(bag.Props, bag.Streams)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := decodeBag(enc); err != nil || len(again.Props) != len(bag.Props) || !slices.Equal(again.Streams, bag.Streams) {
				t.Errorf("bag %+v becomes %+v, %v", bag, again, err)
			}
		}
		if r, err := decodeRendering(b); err == nil {
			if r2, err := decodeRendering(r.encode()); err != nil || !bytes.Equal(r.encode(), r2.encode()) {
				t.Errorf("rendering %+v", r)
			}
		}
	})
}
