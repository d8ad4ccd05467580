package transport

import (
	"errors"

	"rialto/internal/model"
	"rialto/internal/wire/smtp"
)

// refuse returns an error whose kind any head understands and whose cause is
// the exact answer for SMTP, found with errors.As.
func refuse(op string, kind model.Kind, object string, code int, status, text string) error {
	return model.E(op, kind, object, smtp.Replyf(code, status, "%s", text))
}

// ReplyOf returns the SMTP answer that an error of this package carries, nil if
// there is none.
func ReplyOf(err error) *smtp.Reply {
	var r *smtp.Reply
	if errors.As(err, &r) {
		return r
	}
	return nil
}
