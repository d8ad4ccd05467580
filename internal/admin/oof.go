package admin

import (
	"context"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// OutOfOffice shows or changes whether the owner of a mailbox is away. Nil leaves
// something as it is.
type OutOfOffice struct {
	Name     string     `json:"name"`
	On       *bool      `json:"on,omitempty"`
	Start    *time.Time `json:"start,omitempty"`
	End      *time.Time `json:"end,omitempty"`
	Internal *string    `json:"internal,omitempty"` // text for senders of the organization
	External *string    `json:"external,omitempty"` // text for others
	Audience *string    `json:"audience,omitempty"` // of the external text: none, known or all
}

func audiences() []string {
	return []string{store.AudienceNone: "none", store.AudienceKnown: "known", store.AudienceAll: "all"}
}

// OutOfOffice shows or changes the out-of-office state of a mailbox.
func (a *Admin) OutOfOffice(ctx context.Context, c Caller, in OutOfOffice) (*OutOfOffice, error) {
	const op = "mailbox.oof"
	m, err := a.mailbox(ctx, c, op, in.Name)
	if err != nil {
		return nil, err
	}
	s, err := m.OOF()
	if err != nil {
		return nil, err
	}
	if in.On != nil || in.Start != nil || in.End != nil || in.Internal != nil || in.External != nil || in.Audience != nil {
		if err = in.apply(&s); err == nil {
			err = m.SetOOF(ctx, s)
		}
		if err = a.audit(ctx, c, op, in.Name, err); err != nil {
			return nil, err
		}
	}
	out := &OutOfOffice{Name: in.Name, On: &s.On, Internal: &s.Internal, External: &s.External, Audience: &audiences()[s.Audience]}
	if !s.Start.IsZero() {
		out.Start = &s.Start
	}
	if !s.End.IsZero() {
		out.End = &s.End
	}
	return out, nil
}

// apply changes what is given.
func (in *OutOfOffice) apply(s *store.OOF) error {
	if in.On != nil {
		s.On = *in.On
	}
	if in.Start != nil {
		s.Start = *in.Start
	}
	if in.End != nil {
		s.End = *in.End
	}
	if in.Internal != nil {
		s.Internal = *in.Internal
	}
	if in.External != nil {
		s.External = *in.External
	}
	if in.Audience == nil {
		return nil
	}
	for i, name := range audiences() {
		if strings.EqualFold(name, *in.Audience) {
			s.Audience = store.Audience(i)
			return nil
		}
	}
	return model.E("mailbox.oof", model.KindInvalid, "audience "+*in.Audience, nil)
}

// mailbox opens the mailbox of a user.
func (a *Admin) mailbox(ctx context.Context, c Caller, op, name string) (*store.Mailbox, error) {
	r, err := a.find(ctx, c, op, name, org.Mailbox)
	if err != nil {
		return nil, err
	}
	return a.Stores.Mailbox(ctx, r)
}
