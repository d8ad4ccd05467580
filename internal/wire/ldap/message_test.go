package ldap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
)

func vals(s ...string) (l [][]byte) {
	for _, v := range s {
		l = append(l, []byte(v))
	}
	return l
}

// samples has every operation, with and without its optional parts.
func samples(t testing.TB) []*Message {
	f, err := ParseFilter(`(&(objectClass=user)(|(cn=a*b*c)(!(mail=*)))(userAccountControl:1.2.840.113556.1.4.803:=2)(x>=1)(x<=2)(x~=3)(cn:dn:2.5.13.2:=v)(:dn:2.4.6:=w))`)
	if err != nil {
		t.Fatal(err)
	}
	sup := "OU=x,DC=contoso,DC=test"
	res := Result{Code: NoSuchObject, MatchedDN: "DC=test", Message: "gone"}
	long := bytes.Repeat([]byte("x"), 70_000)
	attrs := []Attribute{{"objectClass", vals("top", "person")}, {"jpegPhoto", [][]byte{long, {}}}, {"empty", nil}}
	return []*Message{
		{ID: 1, Op: &BindRequest{Version: 3, Name: "CN=a", Simple: []byte("pw")}},
		{ID: 1, Op: &BindRequest{Version: 3, Simple: []byte{}}},
		{ID: 2, Op: &BindRequest{Version: 3, SASL: &SASLCredentials{"GSS-SPNEGO", []byte{1, 2, 3}}}},
		{ID: 2, Op: &BindRequest{Version: 3, SASL: &SASLCredentials{Mechanism: "EXTERNAL"}}},
		{ID: 2, Op: &BindRequest{Version: 3, Other: &OtherCredentials{Context | 9, []byte("NTLM")}}},
		{ID: 3, Op: &UnbindRequest{}},
		{ID: math.MaxInt32, Op: &SearchRequest{Base: "DC=test", Scope: ScopeSubtree, Deref: 3, SizeLimit: 1000, TimeLimit: 120, TypesOnly: true, Filter: f, Attributes: []string{"cn", "mail"}},
			Controls: []Control{PagedResults{500, []byte("c")}.Control(true), {OID: OIDShowDeleted}}},
		{ID: 4, Op: &ModifyRequest{"CN=a", []Change{{ChangeReplace, Attribute{"mail", vals("a@b")}}, {ChangeDelete, Attribute{"x", nil}}}}},
		{ID: 5, Op: &AddRequest{"CN=a", attrs}},
		{ID: 6, Op: &DeleteRequest{"CN=a"}},
		{ID: 7, Op: &ModifyDNRequest{"CN=a", "CN=b", true, &sup}},
		{ID: 7, Op: &ModifyDNRequest{DN: "CN=a", NewRDN: "CN=b"}},
		{ID: 8, Op: &CompareRequest{"CN=a", "cn", []byte("a")}},
		{ID: 9, Op: &AbandonRequest{128}},
		{ID: 10, Op: &ExtendedRequest{OIDStartTLS, nil}},
		{ID: 10, Op: &ExtendedRequest{OIDPasswordModify, []byte{0x30, 0}}},
		{ID: 11, Op: &BindResponse{Result{Code: SASLBindInProgress}, []byte("ch")}},
		{ID: 12, Op: &SearchEntry{"CN=a", attrs}},
		{ID: 12, Op: &SearchReference{[]string{"ldap://a/", "ldap://b/"}}},
		{ID: 12, Op: &SearchDone{res}},
		{ID: 13, Op: &ModifyResponse{res}},
		{ID: 14, Op: &AddResponse{Result{Code: Referral, Referrals: []string{"ldap://c/"}}}},
		{ID: 15, Op: &DeleteResponse{res}},
		{ID: 16, Op: &ModifyDNResponse{res}},
		{ID: 17, Op: &CompareResponse{Result{Code: CompareTrue}}},
		{ID: 18, Op: &ExtendedResponse{res, OIDWhoAmI, []byte("u:a")}},
		{ID: 19, Op: &IntermediateResponse{"1.2.3", []byte("v")}},
		NoticeOfDisconnection(ProtocolError, "bad"),
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	var all []byte
	for _, m := range samples(t) {
		b := AppendMessage(nil, m)
		got, err := DecodeMessage(b)
		if err != nil {
			t.Fatalf("%T: %v", m.Op, err)
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Errorf("%T:\n%s", m.Op, d)
		}
		// The general BER library must agree about the structure.
		if p, err := ber.DecodePacketErr(b); err != nil || len(p.Children) < 2 || p.Children[0].Value != int64(m.ID) {
			t.Errorf("%T: independent decoder: %v", m.Op, err)
		}
		all = AppendMessage(all, m)
	}
	br := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(all)), 16)
	for _, m := range samples(t) {
		got, err := ReadMessage(br, DefaultMaxMessage)
		if err != nil || !cmp.Equal(m, got) {
			t.Fatalf("%T from a stream: %v", m.Op, err)
		}
	}
	if _, err := ReadMessage(br, 100); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, m := range samples(t) {
		b := AppendMessage(nil, m)
		for n := 0; n < len(b) && n < 2000; n++ {
			if _, err := DecodeMessage(b[:n]); !model.IsKind(err, model.KindInvalid) {
				t.Fatalf("%T cut at %d: %v", m.Op, n, err)
			}
			if _, err := ReadRaw(bufio.NewReader(bytes.NewReader(b[:n])), 1<<20); n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%T read to %d: %v", m.Op, n, err)
			}
		}
	}
}

func TestReadRawLimits(t *testing.T) {
	for in, want := range map[string]model.Kind{
		"\x30\x84\x7f\xff\xff\xff": model.KindTooLarge, "\x30\x64": model.KindTooLarge,
		"\x31\x00": model.KindInvalid, "\x30\x80": model.KindInvalid, "\x30\x85\x00\x00\x00\x00\x01": model.KindInvalid,
		"\x30\x84\xff\xff\xff\xff": model.KindInvalid,
	} {
		if _, err := ReadRaw(bufio.NewReader(strings.NewReader(in)), 50); !model.IsKind(err, want) {
			t.Errorf("% x: %v", in, err)
		}
	}
	// A length of 10 MB with nothing behind it must not cost 10 MB.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		ReadRaw(bufio.NewReader(strings.NewReader("\x30\x84\x00\x90\x00\x00x")), DefaultMaxMessage)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 100_000 {
		t.Errorf("%d bytes allocated", n)
	}
}

func TestDecodeRejects(t *testing.T) {
	deep := &Filter{Kind: FilterPresent, Attr: "a"}
	for range maxFilterDepth + 1 {
		deep = Not(deep)
	}
	wide := And()
	for range maxFilterNodes {
		wide.Children = append(wide.Children, Present("a"))
	}
	search := func(f *Filter) []byte { return AppendMessage(nil, &Message{ID: 1, Op: &SearchRequest{Filter: f}}) }
	for name, b := range map[string][]byte{
		"deep filter": search(deep), "wide filter": search(wide), "not of two": search(&Filter{Kind: FilterNot, Children: []*Filter{Present("a"), Present("b")}}),
		"no substring": search(&Filter{Kind: FilterSubstrings, Attr: "a", Sub: &Substrings{}}),
		"trailing":     append(AppendMessage(nil, &Message{ID: 1, Op: &UnbindRequest{}}), 0),
		"negative id":  AppendMessage(nil, &Message{ID: -1, Op: &UnbindRequest{}}),
		"scope":        AppendMessage(nil, &Message{ID: 1, Op: &SearchRequest{Scope: 9, Filter: Present("a")}}),
		"change":       AppendMessage(nil, &Message{ID: 1, Op: &ModifyRequest{"", []Change{{9, Attribute{}}}}}),
		"unknown op":   {0x30, 5, 2, 1, 1, 0x5e, 0},
		"high tag":     {0x30, 5, 2, 1, 1, 0x5f, 0},
		"controls":     AppendMessage(nil, &Message{ID: 1, Op: &UnbindRequest{}, Controls: make([]Control, maxControls+1)}),
	} {
		if m, err := DecodeMessage(b); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, 65535, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		var w Writer
		w.Int(TagInt, v)
		if got, err := NewReader(w.B).Int(TagInt); got != v || err != nil {
			t.Errorf("%d -> % x -> %d, %v", v, w.B, got, err)
		}
		if p := ber.DecodePacket(w.B); p.Value != v {
			t.Errorf("%d: independent decoder has %v", v, p.Value)
		}
	}
}

func TestNestedLengths(t *testing.T) {
	for _, n := range []int{0, 125, 126, 127, 128, 250, 255, 256, 65533, 65536, 1 << 17} {
		var w Writer
		a := w.Begin(TagSequence)
		b := w.Begin(TagSet)
		w.Bytes(TagOctets, bytes.Repeat([]byte{7}, n))
		w.End(b)
		w.End(a)
		r := NewReader(w.B)
		s, err := r.Seq(TagSequence)
		if err != nil || !r.Empty() {
			t.Fatal(n, err)
		}
		set, err := s.Seq(TagSet)
		if err != nil || !s.Empty() {
			t.Fatal(n, err)
		}
		if v, err := set.Bytes(TagOctets); len(v) != n || err != nil {
			t.Fatal(n, len(v), err)
		}
	}
}

func TestControls(t *testing.T) {
	p := PagedResults{1000, []byte("cookie")}
	if got, err := ParsePagedResults(p.Control(true).Value); err != nil || !cmp.Equal(p, got) {
		t.Error(got, err)
	}
	d := DirSync{0x80000001, 1 << 20, []byte{}}
	if got, err := ParseDirSync(d.Control(true).Value); err != nil || !cmp.Equal(d, got) {
		t.Error(got, err)
	}
	keys := []SortKey{{"sn", "", false}, {"cn", "2.5.13.3", true}}
	if got, err := ParseSort(SortControl(true, keys...).Value); err != nil || !cmp.Equal(keys, got) {
		t.Error(got, err)
	}
	if got, err := ParseIntControl(IntControl(OIDSDFlags, true, 7).Value); got != 7 || err != nil {
		t.Error(got, err)
	}
	for _, bad := range [][]byte{nil, {}, {0x30, 1}, {0x30, 0}, {0x30, 2, 4, 0}} {
		_, e1 := ParsePagedResults(bad)
		_, e2 := ParseDirSync(bad)
		_, e3 := ParseIntControl(bad)
		if e1 == nil || e2 == nil || e3 == nil {
			t.Errorf("% x accepted", bad)
		}
	}
	m := &Message{Controls: []Control{{OID: "1"}, {OID: "2", Critical: true}}}
	if c := m.Control("2"); c == nil || !c.Critical || m.Control("3") != nil {
		t.Error("Control finds the wrong one")
	}
}

func TestResponseTo(t *testing.T) {
	for _, m := range samples(t)[:16] {
		op := ResponseTo(m.Op, Result{Code: Busy})
		if op == nil {
			switch m.Op.(type) {
			case *UnbindRequest, *AbandonRequest:
			default:
				t.Errorf("%T has no response", m.Op)
			}
			continue
		}
		var req, resp Writer
		m.Op.appendTo(&req)
		op.appendTo(&resp)
		a, b := req.B[0]&tagNumberMask, resp.B[0]&tagNumberMask
		if _, search := op.(*SearchDone); b != a+1 && !(search && b == 5) {
			t.Errorf("%T answered by %T", m.Op, op)
		}
	}
	if Busy.String() != "busy" || ResultCode(99).String() != "result 99" {
		t.Error("names of results")
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range samples(f) {
		if b := AppendMessage(nil, m); len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		if s, ok := m.Op.(*SearchRequest); ok {
			_ = s.Filter.String()
		}
		first := AppendMessage(nil, m)
		again, err := DecodeMessage(first)
		if err != nil {
			t.Fatalf("own encoding does not decode: %v", err)
		}
		if second := AppendMessage(nil, again); !bytes.Equal(first, second) {
			t.Fatalf("% x\n% x", first, second)
		}
	})
}

func BenchmarkDecodeSearch(b *testing.B) {
	f, _ := ParseFilter("(&(objectClass=user)(mail=alice@contoso.test))")
	raw := AppendMessage(nil, &Message{ID: 1, Op: &SearchRequest{Base: "DC=contoso,DC=test", Filter: f, Attributes: []string{"cn", "mail", "sn"}}})
	b.ReportAllocs()
	for b.Loop() {
		DecodeMessage(raw)
	}
}

func BenchmarkEncodeEntry(b *testing.B) {
	e := &SearchEntry{DN: "CN=a,DC=contoso,DC=test"}
	for i := range 20 {
		e.Attributes = append(e.Attributes, Attribute{"attribute" + string(rune('a'+i)), vals("some value of it")})
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], &Message{ID: 1, Op: e})
	}
}
