package transport

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
)

// checkEnvelopeSender lets a signed-in user use his own addresses, those he
// may send on behalf of, and the null sender.
func (s *Submission) checkEnvelopeSender(ctx context.Context) error {
	if s.ses.System || s.ses.Account.IsZero() || s.mail.From.IsZero() {
		return nil
	}
	ok, _, err := s.maySendAs(ctx, s.mail.From)
	if err == nil && !ok {
		err = refuse("transport.mail", model.KindPermission, s.mail.From.String(), 550, "5.7.1", "Client does not have permissions to send as this sender")
	}
	return err
}

// maySendAs reports whether the signed-in user may write as a; behalf says that
// he does so for somebody else (publicDelegates).
func (s *Submission) maySendAs(ctx context.Context, a model.Address) (ok, behalf bool, err error) {
	if s.sender == nil {
		return false, false, nil
	}
	if owns(s.sender, a) {
		return true, false, nil
	}
	if ours(s.cfg, a.Domain) == nil {
		return false, false, nil
	}
	o, err := s.t.opt.Org.Resolve(ctx, a)
	if model.IsKind(err, model.KindNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	ok = slices.Contains(o.SendOnBehalf, s.sender.GUID)
	return ok, ok, nil
}

func owns(o *org.Recipient, a model.Address) bool {
	same := func(b model.Address) bool {
		return strings.EqualFold(a.Local, b.Local) && strings.EqualFold(a.Domain, b.Domain)
	}
	return same(o.Primary) || slices.ContainsFunc(o.Addresses, same)
}

// maxFixed bounds the header that is held back to be completed, in octets. A
// longer one goes through as it is.
const maxFixed = 256 << 10

// fixer holds the header of a message back until it is whole, so that what a
// client left out can be put before it (RFC 6409 8).
type fixer struct {
	buf  []byte
	done bool
}

// take collects octets; rest is what follows a header that is complete.
func (f *fixer) take(p []byte) (rest []byte, complete bool) {
	from := max(len(f.buf)-3, 0)
	f.buf = append(f.buf, p...)
	end := headerEnd(f.buf, from)
	if end < 0 && len(f.buf) < maxFixed {
		return nil, false
	}
	if end < 0 {
		end = len(f.buf)
	}
	rest = f.buf[end:]
	f.buf = f.buf[:end:end]
	f.done = true
	return rest, true
}

// headerEnd returns the offset behind the empty line, looking from from on; -1
// if it has not come.
func headerEnd(b []byte, from int) int {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 2
	}
	for i := from; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1
		}
		i += j + 1
		switch rest := b[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
}

// complete returns the fields that a submitted header lacks.
func complete(h message.Header, from model.Address, sender *org.Recipient, behalf bool, id string, now time.Time) []byte {
	env := message.ReadEnvelope(h)
	var b message.Builder
	if env.Has&message.HasDate == 0 {
		b.Date(now)
	}
	if env.Has&message.HasMessageID == 0 {
		b.MessageID(id)
	}
	if len(env.From) == 0 {
		a := message.Address{Local: from.Local, Host: from.Domain}
		if sender != nil {
			a = message.Address{Name: sender.Name, Local: sender.Primary.Local, Host: sender.Primary.Domain}
		}
		if a.Host != "" {
			b.Addresses("From", a)
		}
	}
	if behalf && len(env.Sender) == 0 {
		b.Addresses("Sender", message.Address{Name: sender.Name, Local: sender.Primary.Local, Host: sender.Primary.Domain})
	}
	return b.Bytes()
}

// completeHeader checks the From field of a submitted message and returns what
// goes before its header.
func (s *Submission) completeHeader(header []byte) ([]byte, error) {
	h := message.Header(header)
	behalf := false
	if !s.ses.System {
		for _, a := range message.ReadEnvelope(h).From {
			if a.Kind != message.Mailbox {
				continue
			}
			addr := model.Address{Local: a.Local, Domain: strings.ToLower(a.Host)}
			ok, other, err := s.maySendAs(s.t.ctx, addr)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, refuse("transport.data", model.KindPermission, addr.String(), 550, "5.7.1", "Client does not have permissions to send as the From address")
			}
			behalf = behalf || other
		}
	}
	now := s.t.opt.Clock()
	id := s.t.serialID() + "@" + s.t.hostname(s.cfg)
	return complete(h, s.mail.From, s.sender, behalf, id, now), nil
}
