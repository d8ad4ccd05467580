package mapi

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
)

func sample() Properties {
	var p Properties
	p.Set(TagSubject, "Grüße")
	p.Set(TagImportance, int32(-1))
	p.Set(TagHasAttachments, true)
	p.Set(TagMessageDeliveryTime, time.Date(2026, 11, 22, 1, 2, 3, 400, time.UTC))
	p.Set(TagConversationID, []byte{1, 2})
	p.Set(MakeTag(0x8001, TypeMultiString), []string{"a", ""})
	p.Set(MakeTag(0x8002, TypeMultiInt32), []int32{1, -2})
	p.Set(MakeTag(0x8003, TypeGUID), model.GUID{1})
	p.Set(MakeTag(0x8004, TypeFloat64), 1.5)
	p.Set(MakeTag(0x8005, TypeInt16), int16(7))
	p.Set(MakeTag(0x8006, TypeMultiBinary), [][]byte{{1}, {}})
	return p
}

func TestEncodingRoundTrip(t *testing.T) {
	p := sample()
	b, ok := AppendProperties(nil, p)
	if !ok {
		t.Fatal("a property was left out")
	}
	got, err := DecodeProperties(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, got); d != "" {
		t.Error(d)
	}
	for i := range b {
		if q, err := DecodeProperties(b[:i]); err == nil {
			t.Fatalf("truncated at %d decodes to %v", i, q)
		}
	}
}

func TestWrongTypeIsLeftOut(t *testing.T) {
	b, ok := AppendProperties(nil, Properties{{TagSubject, 7}, {TagImportance, int32(1)}})
	got, err := DecodeProperties(b)
	if ok || err != nil || len(got) != 1 || got.Int32(TagImportance) != 1 {
		t.Errorf("ok=%v err=%v got=%v", ok, err, got)
	}
}

func TestSetKeepsOrder(t *testing.T) {
	p := sample()
	p.Set(TagSubject, "two")
	p.Delete(TagImportance)
	for i := 1; i < len(p); i++ {
		if p[i-1].Tag >= p[i].Tag {
			t.Fatalf("unsorted at %d", i)
		}
	}
	if p.Text(TagSubject) != "two" || p.Int32(TagImportance) != 0 || !p.Bool(TagHasAttachments) {
		t.Error("Set, Delete or Get is wrong")
	}
}

func TestFileTime(t *testing.T) {
	// MS-DTYP 2.3.3: ticks of 100 ns since 1601-01-01.
	if got := FileTime(time.Unix(0, 0)); got != 116444736000000000 {
		t.Errorf("FileTime(1970) = %d", got)
	}
	now := time.Now().Truncate(100).UTC()
	if !FromFileTime(FileTime(now)).Equal(now) {
		t.Error("round trip")
	}
}

func FuzzDecodeProperties(f *testing.F) {
	b, _ := AppendProperties(nil, sample())
	f.Add(b)
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodeProperties(b)
		if err != nil {
			return
		}
		c, _ := AppendProperties(nil, p)
		q, err := DecodeProperties(c)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := AppendProperties(nil, q)
		if !bytes.Equal(c, d) {
			t.Fatal("unstable encoding")
		}
	})
}
