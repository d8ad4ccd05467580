package layout

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
	f.Add((&State{Flags: 5, Seq: 7, CN: CN{Replica: 1, Counter: 7}, Row: 300, OID: 300, MID: 301, Size: 99, Time: now, Keywords: []string{"a", "b"}}).Encode(nil))
	sum, _ := (&Summary{Envelope: []byte("env")}).Encode(nil)
	f.Add(sum)
	f.Add((&Stream{Truth: TruthMIME, Content: 9, Size: 5, Trace: []byte("t"), Structure: []byte("s")}).Encode(nil))
	f.Add((&Folder{Parent: 2, Name: "Inbox", Class: "IPF.Note", UIDValidity: 8, Created: now}).Encode())
	f.Add((&Counts{Total: 1, Size: 5, NextUID: 2}).Encode())
	f.Add((&Change{Folder: 3, UID: 4, Class: "IPM.Note", Href: "x"}).Encode())
	f.Add((&Counters{Validity: 9}).Encode(1024, 2048))
	f.Add((&Header{GUID: model.GUID{1}, Incarnation: 1, DisplayName: "a", Created: now}).Encode())
	f.Add(EncodePlace(Place{Folder: 3, Space: Normal, N: 9}))
	f.Add(EncodeTimed(9))
	f.Add((&Maintenance{Began: now, After: model.GUID{2}, Items: 300, Octets: 1 << 40}).Encode())
	f.Add((&ACL{Next: 2, Entries: []Permission{{Member: 1, SID: []byte{1}, Name: "n", Rights: 0x401}}}).Encode())
	f.Add((&SearchState{Position: 5, Busy: true}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		var mt, mt2 Maintenance
		if mt.Decode(b) == nil && (mt2.Decode(mt.Encode()) != nil || !bytes.Equal(mt.Encode(), mt2.Encode())) {
			t.Errorf("maintenance %+v", mt)
		}
		var s, s2 State
		if s.Decode(Place{}, b) == nil && (s2.Decode(Place{}, s.Encode(nil)) != nil || !bytes.Equal(s.Encode(nil), s2.Encode(nil))) {
			t.Errorf("state %+v", s)
		}
		if env, _, err := SplitSummary(b); err == nil && len(env) > len(b) {
			t.Error("summary")
		}
		var st, st2 Stream
		if st.Decode(b) == nil && (st2.Decode(st.Encode(nil)) != nil || !bytes.Equal(st.Encode(nil), st2.Encode(nil))) {
			t.Errorf("stream %+v", st)
		}
		if fo, err := DecodeFolder(1, b); err == nil {
			if fo2, err := DecodeFolder(1, fo.Encode()); err != nil || !bytes.Equal(fo.Encode(), fo2.Encode()) {
				t.Errorf("folder %+v", fo)
			}
		}
		var c, c2 Counts
		if c.Decode(b) == nil && (c2.Decode(c.Encode()) != nil || c != c2) {
			t.Errorf("counts %+v", c)
		}
		if ch, err := DecodeChange(1, b); err == nil {
			if ch2, err := DecodeChange(1, append([]byte{byte(ch.Kind)}, ch.Encode()...)); err != nil || ch != ch2 {
				t.Errorf("change %+v", ch)
			}
		}
		var k Counters
		var h Header
		_, _ = k.Decode(b), h.Decode(b)
		_, _ = DecodePlace(b)
		if u, err := DecodeTimed(b); err == nil && u != 0 && !bytes.Equal(EncodeTimed(u), b) {
			t.Errorf("delivery time %d", u)
		}
		_, _ = DecodeDirEntry(b)
		_, _ = ParsePlace(b)
		it := &FullItem{State: &State{}, Summary: b}
		_ = it.Interpret() // any answer will do
		_ = (&Leaf{Bag: b, Stream: b}).Refer()
		_, _ = DecodeAttachment([]byte{0, 0, 0, 1}, 0, b)
		_, _ = DecodeRecipients([][]byte{b, b})
		if bag, err := DecodeBag(b); err == nil {
			enc, err := EncodeBag(bag.Props, bag.Streams)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := DecodeBag(enc); err != nil || len(again.Props) != len(bag.Props) || !slices.Equal(again.Streams, bag.Streams) {
				t.Errorf("bag %+v becomes %+v, %v", bag, again, err)
			}
		}
		if a, err := DecodeACL(b); err == nil {
			if a2, err := DecodeACL(a.Encode()); err != nil || !bytes.Equal(a.Encode(), a2.Encode()) {
				t.Errorf("permissions %+v", a)
			}
		}
		if n, err := DecodeName(b); err == nil {
			if n2, err := DecodeName(EncodeName(n)); err != nil || n != n2 {
				t.Errorf("name %+v", n)
			}
		}
		if s, err := decodeSearchState(b); err == nil {
			if s2, err := decodeSearchState(s.Encode()); err != nil || s != s2 {
				t.Errorf("search folder %+v", s)
			}
		}
		if r, err := DecodeRendering(b); err == nil {
			if r2, err := DecodeRendering(r.Encode()); err != nil || !bytes.Equal(r.Encode(), r2.Encode()) {
				t.Errorf("rendering %+v", r)
			}
		}
	})
}
