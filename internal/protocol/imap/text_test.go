package imap

import (
	"bytes"
	"testing"
	"time"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// written returns what fn writes.
func written(fn func(*wire.Writer)) string {
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	fn(w)
	_ = w.Flush() // to memory
	return b.String()
}

func TestWriteDate(t *testing.T) {
	var l lines
	start := time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)
	for _, d := range []time.Duration{0, time.Second, 2 * time.Second, 25 * time.Hour, 9 * time.Minute, -60 * 365 * 24 * time.Hour, 0, 70 * 365 * 24 * time.Hour} {
		at := start.Add(d)
		want := written(func(w *wire.Writer) { w.DateTime(at) })
		if got := written(func(w *wire.Writer) { l.writeDate(w, at) }); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(12000, 1, 2, 3, 4, 5, 0, time.UTC), start} {
		want := written(func(w *wire.Writer) { w.DateTime(at) })
		if got := written(func(w *wire.Writer) { l.writeDate(w, at) }); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

func TestWriteFlags(t *testing.T) {
	var l lines
	for _, c := range []struct {
		b    store.Brief
		want string
	}{
		{store.Brief{}, "()"},
		{store.Brief{Flags: store.Read | store.Answered}, `(\Answered \Seen)`},
		{store.Brief{Flags: store.HasAttachments}, "()"},
		{store.Brief{Flags: store.ReceiptSent, Keywords: []string{"a", "b"}}, "($MDNSent a b)"},
		{store.Brief{Keywords: []string{"a"}}, "(a)"},
		{store.Brief{Flags: store.Read | store.Answered | store.HasAttachments}, `(\Answered \Seen)`},
	} {
		if got := written(func(w *wire.Writer) { l.writeFlags(w, &c.b) }); got != c.want {
			t.Errorf("%+v: %s, want %s", c.b, got, c.want)
		}
	}
}

func TestWriteString(t *testing.T) {
	for _, s := range []string{"", "plain text", `a "quoted" \ one`, "tab\there", "line\r\nend", "grün", "del\x7f", string(make([]byte, 600))} {
		want := written(func(w *wire.Writer) { w.String(s) })
		if got := written(func(w *wire.Writer) { writeString(w, s) }); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
