package imap

import (
	"time"

	"rialto/internal/message"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// What FETCH writes for every message is written here without detours: most
// texts are plain, and most messages have one of few sets of flags.

// writeString is w.String for what is mostly plain ASCII.
func writeString(w *wire.Writer, s string) {
	if len(s) > 500 {
		w.String(s)
		return
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			w.String(s)
			return
		}
	}
	w.Byte('"')
	w.Raw(s)
	w.Byte('"')
}

func writeNString(w *wire.Writer, s string, present bool) {
	if !present {
		w.Nil()
		return
	}
	writeString(w, s)
}

// writeEnvelope writes an envelope (RFC 9051 7.5.2).
func writeEnvelope(w *wire.Writer, e *message.Envelope) {
	w.Byte('(')
	writeNString(w, e.Date, e.Has&message.HasDate != 0)
	w.SP()
	writeNString(w, e.Subject, e.Has&message.HasSubject != 0)
	w.SP()
	for _, list := range [6][]message.Address{e.From, e.SenderOrFrom(), e.ReplyToOrFrom(), e.To, e.Cc, e.Bcc} {
		writeAddresses(w, list)
		w.SP()
	}
	writeNString(w, e.InReplyTo, e.Has&message.HasInReplyTo != 0)
	w.SP()
	writeNString(w, e.MessageID, e.Has&message.HasMessageID != 0)
	w.Byte(')')
}

func writeAddresses(w *wire.Writer, as []message.Address) {
	if len(as) == 0 {
		w.Nil()
		return
	}
	w.Byte('(')
	for i := range as {
		a := &as[i]
		w.Byte('(')
		switch a.Kind {
		case message.GroupStart:
			w.Raw("NIL NIL ")
			writeString(w, a.Local)
			w.Raw(" NIL")
		case message.GroupEnd:
			w.Raw("NIL NIL NIL NIL")
		default:
			writeNString(w, a.Name, a.Name != "")
			w.SP()
			writeNString(w, a.Route, a.Route != "")
			w.SP()
			writeString(w, a.Local)
			w.SP()
			writeString(w, a.Host) // NIL would make it a group
		}
		w.Byte(')')
	}
	w.Byte(')')
}

// lines remembers what the last messages of a FETCH had in common.
type lines struct {
	flags [1 << 7]string // by the flags clients set; "" is not rendered yet
	day   int64          // of date, in days since 1970
	date  [11]byte       // DD-Mon-YYYY
}

// writeFlags is writeFlags with a memory.
func (l *lines) writeFlags(w *wire.Writer, b *store.Brief) {
	i := int(b.Flags) & (len(l.flags) - 1)
	if len(b.Keywords) > 0 {
		writeFlags(w, b)
		return
	}
	if l.flags[i] == "" {
		l.flags[i] = flagList(b.Flags)
	}
	w.Raw(l.flags[i])
}

// writeDate writes t, in UTC, as a date-time (RFC 9051 9).
func (l *lines) writeDate(w *wire.Writer, t time.Time) {
	sec := t.Unix()
	if sec < 0 {
		w.DateTime(t)
		return
	}
	day, rest := sec/86400, int(sec%86400)
	if day != l.day || l.date[0] == 0 {
		b := t.AppendFormat(l.date[:0], "02-Jan-2006")
		if l.day = day; len(b) != len(l.date) { // of a year beyond 9999
			l.date[0] = 0
			w.DateTime(t)
			return
		}
	}
	clock := [...]byte{'"', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ' ', 0, 0, ':', 0, 0, ':', 0, 0}
	copy(clock[1:], l.date[:])
	for k, v := range [3]int{rest / 3600, rest / 60 % 60, rest % 60} {
		clock[13+3*k], clock[14+3*k] = byte('0'+v/10), byte('0'+v%10)
	}
	w.Raw(string(clock[:]))
	w.Raw(` +0000"`)
}
