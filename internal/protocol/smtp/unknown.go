package smtp

import wire "rialto/internal/wire/smtp"

// unknown answers what is known and not offered, what is not known, and what
// is not SMTP at all: a browser that was made to talk to this port is cut off
// before its request can be taken for commands.
func (s *session) unknown(cmd wire.Command) (*wire.Reply, error) {
	switch cmd.Verb {
	case "ETRN", "TURN", "ATRN", "EXPN", "X-EXPS", "X-LINK2STATE", "XEXCH50":
		return wire.Replyf(502, "5.5.1", "Command not implemented"), nil
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "HOST:", "CONTENT-TYPE:", "USER-AGENT:":
		return wire.Replyf(421, "4.7.0", "This is not a web server"), errQuit
	}
	return wire.Replyf(500, "5.5.1", "Unrecognized command"), nil
}
