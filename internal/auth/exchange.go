package auth

import (
	"context"
	"errors"

	"rialto/internal/model"
)

// ErrSASLEncoding is a response that is not base64.
var ErrSASLEncoding = errors.New("auth: response is not base64")

// Asker sends a challenge, base64, the way the protocol does, and returns the
// client's answer without its line end.
type Asker func(challenge string) (response string, err error)

// Exchange runs a mechanism to its end, as SMTP, IMAP and POP3 do (RFC 4422 3).
// initial is the initial response as the client wrote it, nil if it sent none.
// Additional data of a success goes out as a last challenge, whose answer says
// nothing. Errors: the Asker's as they are; ErrSASLCancelled and ErrSASLEncoding,
// which are no attempt at signing in; all others are failures of the mechanism,
// as Mechanism.Next says.
func Exchange(ctx context.Context, m Mechanism, initial *string, ask Asker) (*Account, error) {
	var resp []byte
	var err error
	if initial != nil {
		if resp, err = response(*initial); err != nil {
			return nil, err
		}
	}
	for {
		challenge, acct, err := m.Next(ctx, resp)
		if err != nil || acct != nil && len(challenge) == 0 {
			return acct, err
		}
		line, err := ask(EncodeChallenge(challenge))
		if err != nil {
			return nil, err
		}
		if resp, err = response(line); err != nil {
			return nil, err
		}
		if acct != nil {
			return acct, nil
		}
	}
}

func response(line string) ([]byte, error) {
	b, err := DecodeResponse(line)
	if model.IsKind(err, model.KindInvalid) {
		err = ErrSASLEncoding
	}
	return b, err
}
