package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// capability is CAPABILITY (RFC 9051 6.1.1).
func (s *session) capability(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Raw("* CAPABILITY " + s.capabilities())
	s.w.CRLF()
	return ok("CAPABILITY completed"), nil
}

// capabilities returns what is offered in the present state.
func (s *session) capabilities() string {
	caps := "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE"
	if s.acct != nil {
		return caps + " IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT MOVE ESEARCH SEARCHRES CONDSTORE QRESYNC" +
			" LIST-EXTENDED LIST-STATUS SPECIAL-USE STATUS=SIZE APPENDLIMIT=" + itoa(s.set.MaxMessage) +
			" OBJECTID MULTIAPPEND WITHIN PREVIEW UTF8=ACCEPT"
	}
	if s.conn.CanStartTLS() {
		caps += " STARTTLS"
	}
	if !s.protected() {
		caps += " LOGINDISABLED"
	}
	for _, m := range s.srv.offer().Names(s.protected()) {
		caps += " AUTH=" + m
	}
	return caps
}
