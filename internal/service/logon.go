package service

import "log/slog"

// Protected reports whether a password may be sent on the connection: it is
// encrypted, or the peer is on this machine, or plaintext says that the
// administrator lets passwords travel in clear.
func (c *Conn) Protected(plaintext bool) bool { return c.TLS() || c.Local() || plaintext }

// LogonsFailed is the event of a head, id in its numbers, that ends a connection
// after too many failed sign-ins.
func (c *Conn) LogonsFailed(id int) Event {
	return Event{ID: id, Level: slog.LevelWarn, Category: "Logons",
		Message: "A client was disconnected after several failed logons.",
		Attrs:   []slog.Attr{slog.String("remote", c.remote.String())}}
}
