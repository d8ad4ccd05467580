package message

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const envelopeMail = "From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>, b@y.test\r\nTo: team: a@b.test, c@d.test;\r\n" +
	"Subject: hi\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x.test>\r\nReferences: <0@x.test>\r\n\r\n"

func TestEnvelopeBinary(t *testing.T) {
	e := ReadEnvelope(envelopeMail)
	b := e.AppendBinary(nil)
	got, err := DecodeEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(e, got); d != "" {
		t.Error(d)
	}
	for i := range b {
		if _, err := DecodeEnvelope(b[:i]); err == nil {
			t.Fatalf("truncated at %d decodes", i)
		}
	}
}

// One Envelope read again and again shows nothing of what it was before.
func TestEnvelopeDecodeAgain(t *testing.T) {
	mails := []Header{envelopeMail, "Subject: only\r\n\r\n", "From: a@b.test\r\nReferences: <1@x> <2@x>\r\n\r\n", "\r\n", envelopeMail}
	var e Envelope
	for _, h := range mails {
		want := ReadEnvelope(h)
		if err := e.Decode(string(want.AppendBinary(nil))); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, &e, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%q: %s", h, d)
		}
	}
	if err := e.Decode("\x01\xff"); err == nil || len(e.From) > 0 || e.Has != 0 {
		t.Errorf("damaged: %v, %+v", err, e)
	}
	s := string(ReadEnvelope(envelopeMail).AppendBinary(nil))
	_ = e.Decode(s)
	if n := testing.AllocsPerRun(10, func() { _ = e.Decode(s) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(ReadEnvelope(envelopeMail).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEnvelope(b)
		if err != nil {
			return
		}
		again, err := DecodeEnvelope(e.AppendBinary(nil))
		if err != nil || !cmp.Equal(e, again) {
			t.Fatalf("unstable: %v", err)
		}
	})
}
