package message

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
