package smtp

import (
	"errors"
	"fmt"

	"rialto/internal/model"
	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

// failure translates an error for the client. What transport worded for SMTP
// goes out as it is; otherwise the kind decides, and the cause stays in the
// log under the id that the client is given.
func (s *session) failure(op string, err error) *wire.Reply {
	if r := transport.ReplyOf(err); r != nil {
		s.log().Debug("refused", "op", op, "err", err)
		return r
	}
	id := fmt.Sprintf("%x-%x", s.c.ID(), s.messages)
	s.log().Warn("failed", "op", op, "id", id, "err", err)
	r := replyOf(model.KindOf(err))
	r.Lines[0] += " [" + id + "]"
	return r
}

// replyOf is the table from kinds to SMTP codes.
func replyOf(k model.Kind) *wire.Reply {
	switch k {
	case model.KindInvalid:
		return wire.Replyf(501, "5.5.4", "Invalid argument")
	case model.KindNotFound:
		return wire.Replyf(550, "5.1.1", "No such recipient here")
	case model.KindPermission:
		return wire.Replyf(550, "5.7.1", "Not permitted")
	case model.KindAuth:
		return wire.Replyf(535, "5.7.8", "Authentication unsuccessful")
	case model.KindQuota:
		return wire.Replyf(552, "5.2.2", "Mailbox is full")
	case model.KindTooLarge:
		return wire.Replyf(552, "5.3.4", "Message is too large")
	case model.KindNoSpace:
		return wire.Replyf(452, "4.3.1", "Insufficient system storage")
	case model.KindUnavailable, model.KindConflict, model.KindCanceled, model.KindExpired:
		return wire.Replyf(451, "4.3.0", "Temporarily unavailable, try again later")
	case model.KindUnsupported:
		return wire.Replyf(504, "5.5.4", "Not supported")
	}
	return wire.Replyf(451, "4.3.0", "Local error in processing")
}

// asReply returns the answer that a codec error is.
func asReply(err error) *wire.Reply {
	var r *wire.Reply
	if errors.As(err, &r) {
		return r
	}
	return wire.Replyf(501, "5.5.4", "Invalid argument")
}
