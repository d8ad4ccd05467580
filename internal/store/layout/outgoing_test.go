package layout

import (
	"reflect"
	"strings"
	"testing"

	"rialto/internal/model"
)

// FuzzOutgoing reads whatever may stand in a row of the outbox.
func FuzzOutgoing(f *testing.F) {
	alice := Party{Name: "Alice", Address: model.Address{Local: "alice", Domain: "example.com"}}
	f.Add((&Outgoing{Kind: SendReply, Owner: alice, To: []Party{alice}, Text: "t", Trace: []byte("x")}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOutgoing(1, b)
		if err != nil {
			return
		}
		if again, err := DecodeOutgoing(1, o.Encode()); err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%+v becomes %+v, %v", o, again, err)
		}
	})
}

func TestClip(t *testing.T) {
	o := Outgoing{Subject: strings.Repeat("é", 600), Text: "t", Trace: make([]byte, maxOutgoingTrace+1)}
	o.Clip()
	if len(o.Subject) != 1024 || o.Text != "t" || o.Trace != nil {
		t.Errorf("%d octets of subject, %q, %d of trace", len(o.Subject), o.Text, len(o.Trace))
	}
	if s := clipText("aé", 2); s != "a" {
		t.Errorf("cut to %q", s)
	}
}
