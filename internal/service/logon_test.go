package service

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"testing"
)

func TestProtected(t *testing.T) {
	far := netip.MustParseAddr("192.0.2.7")
	for name, c := range map[string]struct {
		conn      *Conn
		plaintext bool
		want      bool
	}{
		"in clear from afar":  {conn: &Conn{remote: far}},
		"allowed in clear":    {conn: &Conn{remote: far}, plaintext: true, want: true},
		"encrypted from afar": {conn: &Conn{remote: far, tlsState: new(tls.ConnectionState)}, want: true},
		"loopback":            {conn: &Conn{remote: netip.MustParseAddr("127.0.0.1")}, want: true},
		"unix socket":         {conn: new(Conn), want: true},
	} {
		if got := c.conn.Protected(c.plaintext); got != c.want {
			t.Errorf("%s: Protected = %v", name, got)
		}
	}
}

// The event says who it was, and goes under the source of the head.
func TestLogonsFailed(t *testing.T) {
	c := Conn{remote: netip.MustParseAddr("192.0.2.7")}
	l := NewEventLog(nil, 0)
	Report(t.Context(), nil, SourceIMAP4, c.LogonsFailed(1)) // nobody listens
	Report(t.Context(), l, SourceIMAP4, c.LogonsFailed(100))
	got := l.Recent(9, nil)
	if len(got) != 1 {
		t.Fatalf("events: %+v", got)
	}
	e := got[0]
	if e.Source != SourceIMAP4 || e.ID != 100 || e.Level != slog.LevelWarn || len(e.Attrs) != 1 || e.Attrs[0].Value.String() != "192.0.2.7" {
		t.Errorf("event: %+v", e)
	}
}

func TestLogger(t *testing.T) {
	if l := slog.Default(); Logger(l) != l {
		t.Error("a logger is not itself")
	}
	if l := Logger(nil); l == nil || l.Enabled(t.Context(), slog.LevelError) {
		t.Error("no logger does not discard")
	}
}
